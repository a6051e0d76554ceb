/* Distances of rows of one TYPE, computed in REAL. */

typedef TYPE NAME3(part, TYPE, REAL)
    __attribute__((vector_size(sizeof(TYPE) * (REGISTER / sizeof(REAL)))));
typedef TYPE NAME3(loose_part, TYPE, REAL)
    __attribute__((vector_size(sizeof(TYPE) * (REGISTER / sizeof(REAL))), aligned(sizeof(TYPE)),
                   may_alias));

/* Write VECTOR_SIZE bands of a row less the center. */
INLINE void NAME3(center_bands, TYPE, REAL)(const TYPE *row, const REAL *center, REAL *to)
{
    NAME3(part, TYPE, REAL) values = *(const NAME3(loose_part, TYPE, REAL) *)row;
    *(LOOSE_VECTOR *)to
        = __builtin_convertvector(values, VECTOR) - *(const LOOSE_VECTOR *)center;
}

/* Write a row less the center. */
INLINE void NAME3(center_row, TYPE, REAL)(const TYPE *row, int64_t bands, const REAL *center,
                                          REAL *to)
{
    int64_t band = 0;
    for (; band + VECTOR_SIZE <= bands; band += VECTOR_SIZE)
        NAME3(center_bands, TYPE, REAL)(row + band, center + band, to + band);
    if (bands < VECTOR_SIZE) {
        for (; band < bands; band++)
            to[band] = (REAL)row[band] - center[band];
    } else if (band < bands) {
        /* The last bands fill a register together with some that are written already. */
        band = bands - VECTOR_SIZE;
        NAME3(center_bands, TYPE, REAL)(row + band, center + band, to + band);
    }
}

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
        for (int64_t row = 0; row < size; row++)
            NAME3(center_row, TYPE, REAL)(rows + (start + row) * stride, bands, center,
                                          chunk + row * bands);
        upcoming next = {(const char *)(rows + (start + size) * stride), count - start - size,
                         stride * (int64_t)sizeof(TYPE), bands * (int64_t)sizeof(TYPE)};
        if (next.count > CHUNK_ROWS)
            next.count = CHUNK_ROWS;
        NAME2(sum_squares, REAL)(chunk, size, bands, panels, panel_count, (int)triangular, rest,
                                 squares, next);
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
