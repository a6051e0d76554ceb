/* The moments of rows of one TYPE. */

/* The products of the finite rows that are selected; how many rows these are.
 *
 * rows: count rows of bands values, stride values apart.
 * keep: a byte a row, or NULL for all rows.
 * scale, offset: the map of each band, or NULL.
 * low, high: the limits of each band, or NULL.
 * products: (width, width): the upper triangle, and the sums in the row behind the bands.
 */
EXPORT int64_t EXPORTED_FOR(moments, TYPE)(const TYPE *rows, int64_t count, int64_t stride,
                                           int64_t bands, const uint8_t *keep,
                                           const double *scale, const double *offset,
                                           const TYPE *low, const TYPE *high, const double *shift,
                                           double *products, double *work)
{
    int64_t width = EXPORTED(moments_width)(bands);
    int64_t filled = 0;
    int64_t used = 0;
    memset(products, 0, sizeof(double) * (size_t)(width * width));
    memset(work, 0, sizeof(double) * (size_t)(MOMENT_ROWS * width));
    for (int64_t row = 0; row < MOMENT_ROWS; row++)
        work[row * width + bands] = 1;
    for (int64_t row = 0; row < count; row++) {
        if (keep && !keep[row])
            continue;
        NAME2(copy_row, TYPE)(rows + row * stride, bands, scale, offset, low, high, shift,
                              work + filled * width);
        filled++;
        if (filled < MOMENT_ROWS)
            continue;
        /* Rows that are not finite make room for the next ones. */
        filled = select_finite(work, filled, width);
        if (filled == MOMENT_ROWS) {
            upcoming next = {(const char *)(rows + (row + 1) * stride), count - row - 1,
                             stride * (int64_t)sizeof(TYPE), bands * (int64_t)sizeof(TYPE)};
            if (next.count > MOMENT_ROWS)
                next.count = MOMENT_ROWS;
            add_chunk(work, filled, width, products, next);
            used += filled;
            filled = 0;
        }
    }
    filled = select_finite(work, filled, width);
    add_chunk(work, filled, width, products, (upcoming){0});
    used += filled;
    for (int64_t band = 0; band <= bands; band++)
        products[bands * width + band] = products[band * width + bands];
    return used;
}
