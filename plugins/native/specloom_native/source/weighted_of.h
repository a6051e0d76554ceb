/* Weighted products of rows of one TYPE, in REAL. */

/* The sums of factor * d d^T, with d = x - center and a 1 behind it, of rows x.
 *
 * rows: count rows of bands values, stride values apart; of a factor of 0 none is read.
 * products: (width, width): the upper triangle.
 */
EXPORT void EXPORTED_FOR2(weighted, TYPE, REAL)(const TYPE *rows, int64_t count, int64_t stride,
                                                int64_t bands, const REAL *center,
                                                const REAL *factors, double *products,
                                                REAL *work)
{
    int64_t width = EXPORTED_FOR(weighted_width, REAL)(bands);
    REAL *centred = work;
    REAL *weighted = work + WEIGHTED_ROWS * width;
    int64_t filled = 0;
    memset(products, 0, sizeof(double) * (size_t)(width * width));
    memset(work, 0, sizeof(REAL) * (size_t)(2 * WEIGHTED_ROWS * width));
    for (int64_t row = 0; row < count; row++) {
        REAL factor = factors[row];
        if (factor == 0)
            continue;
        const TYPE *from = rows + row * stride;
        REAL *to = centred + filled * width;
        REAL *to_weighted = weighted + filled * width;
        for (int64_t band = 0; band < bands; band++) {
            REAL value = (REAL)from[band] - center[band];
            to[band] = value;
            to_weighted[band] = factor * value;
        }
        to[bands] = 1;
        to_weighted[bands] = factor;
        filled++;
        if (filled == WEIGHTED_ROWS) {
            NAME2(add_weighted_chunk, REAL)(weighted, centred, filled, width, products);
            filled = 0;
        }
    }
    NAME2(add_weighted_chunk, REAL)(weighted, centred, filled, width, products);
}
