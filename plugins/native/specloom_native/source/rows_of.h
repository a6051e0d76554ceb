/* Rows of one TYPE as doubles. */

/* Copy one row, mapped, limited and shifted; whether all its bands are finite. */
INLINE int NAME2(load_row, TYPE)(const TYPE *row, int64_t bands, const double *scale,
                                 const double *offset, const TYPE *low, const TYPE *high,
                                 const double *shift, double *to)
{
    if (scale) {
        for (int64_t band = 0; band < bands; band++)
            to[band] = (double)row[band] * scale[band] + offset[band] - shift[band];
    } else if (low) {
        for (int64_t band = 0; band < bands; band++) {
            TYPE value = row[band];
            TYPE above = value < low[band] ? low[band] : value;
            TYPE limited = above > high[band] ? high[band] : above;
            /* An infinite value is limited, but the row is to be excluded. */
            to[band] = (double)limited - shift[band] + 0 * (double)value;
        }
    } else {
        for (int64_t band = 0; band < bands; band++)
            to[band] = (double)row[band] - shift[band];
    }
    return all_finite(to, bands);
}
