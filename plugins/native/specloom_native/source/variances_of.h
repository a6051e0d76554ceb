/* The sums and squares of rows of one TYPE. */

/* Sums and squares of the finite rows that are selected; how many rows these are.
 *
 * Arguments as those of moments; sums and squares: of each band; work: of each band.
 */
EXPORT int64_t EXPORTED_FOR(variances, TYPE)(const TYPE *rows, int64_t count, int64_t stride,
                                             int64_t bands, const uint8_t *keep,
                                             const double *scale, const double *offset,
                                             const TYPE *low, const TYPE *high,
                                             const double *shift, double *sums, double *squares,
                                             double *work)
{
    int64_t used = 0;
    memset(sums, 0, sizeof(double) * (size_t)bands);
    memset(squares, 0, sizeof(double) * (size_t)bands);
    for (int64_t row = 0; row < count; row++) {
        if (keep && !keep[row])
            continue;
        if (!NAME2(load_row, TYPE)(rows + row * stride, bands, scale, offset, low, high, shift,
                                   work))
            continue;
        for (int64_t band = 0; band < bands; band++) {
            sums[band] += work[band];
            squares[band] += work[band] * work[band];
        }
        used++;
    }
    return used;
}
