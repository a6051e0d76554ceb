/* The median of rows of one TYPE. */

/* The lower median of each band of the first rows that are finite and selected; how many.
 *
 * Arguments as those of moments; medians: of each band, written where there is a row.
 */
EXPORT int64_t EXPORTED_FOR(median, TYPE)(const TYPE *rows, int64_t count, int64_t stride,
                                          int64_t bands, const uint8_t *keep, const double *scale,
                                          const double *offset, const TYPE *low, const TYPE *high,
                                          double *medians, double *work)
{
    double *zeros = work + MEDIAN_ROWS * bands;
    memset(zeros, 0, sizeof(double) * (size_t)bands);
    int64_t used = 0;
    for (int64_t row = 0; row < count && used < MEDIAN_ROWS; row++) {
        if (used && row % MEDIAN_BLOCK == 0)
            break;
        if (keep && !keep[row])
            continue;
        /* A row that is not finite is overwritten by the next one. */
        used += NAME2(load_row, TYPE)(rows + row * stride, bands, scale, offset, low, high, zeros,
                                      work + used * bands);
    }
    if (!used)
        return 0;
    sort_bands(work, used, bands);
    memcpy(medians, work + (used - 1) / 2 * bands, sizeof(double) * (size_t)bands);
    return used;
}
