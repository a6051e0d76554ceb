/* Distances of rows of one TYPE, computed in REAL. */

/* The distances of rows; NaN for those that are not finite.
 *
 * rows: count rows of bands values, stride values apart.
 * panels: the panels of W, one behind the other; rest: of each of their columns.
 * triangular: panel i has the first (i + 1) * PANEL rows of W, at most all; else all.
 */
EXPORT void EXPORTED_FOR2(distances, TYPE, REAL)(const TYPE *rows, int64_t count, int64_t stride,
                                                 int64_t bands, const REAL *center,
                                                 const REAL *panels, int64_t panel_count,
                                                 int64_t triangular, const REAL *rest,
                                                 TYPE *results, REAL *work)
{
    REAL *squares = work;
    REAL *chunk = work + CHUNK_ROWS * LANES;
    memset(chunk, 0, sizeof(REAL) * (size_t)(CHUNK_ROWS * bands));
    for (int64_t start = 0; start < count; start += CHUNK_ROWS) {
        int64_t size = count - start;
        if (size > CHUNK_ROWS)
            size = CHUNK_ROWS;
        for (int64_t row = 0; row < size; row++) {
            const TYPE *from = rows + (start + row) * stride;
            REAL *to = chunk + row * bands;
            for (int64_t band = 0; band < bands; band++)
                to[band] = (REAL)from[band] - center[band];
        }
        NAME2(sum_squares, REAL)(chunk, size, bands, panels, panel_count, (int)triangular, rest,
                                 squares);
        for (int64_t row = 0; row < size; row++) {
            REAL sum = 0;
            for (int64_t lane = 0; lane < LANES; lane++)
                sum += squares[row * LANES + lane];
            TYPE result = (TYPE)sum;
            /* Infinite where the row was, or where it overflows. */
            results[start + row] = result + 0 * result;
        }
    }
}
