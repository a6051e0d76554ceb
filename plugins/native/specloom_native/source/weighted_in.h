/* What weighted products in REAL need, whatever the type of the rows; vectors are those of distances. */

/* Rows and columns of the products, for a number of bands. */
EXPORT int64_t EXPORTED_FOR(weighted_width, REAL)(int64_t bands)
{
    return padded(bands + 1, VECTOR_SIZE);
}

/* Numbers of working memory, for a number of bands. */
EXPORT int64_t EXPORTED_FOR(weighted_work, REAL)(int64_t bands)
{
    return 2 * WEIGHTED_ROWS * EXPORTED_FOR(weighted_width, REAL)(bands);
}

/* Add left^T right, of TALL columns by `wide` vectors of columns. */
INLINE void NAME2(add_weighted_tile, REAL)(const REAL *left, const REAL *right, int64_t rows,
                                           int64_t width, double *sums, int wide)
{
    VECTOR tile[TALL][WIDE];
    for (int i = 0; i < TALL; i++)
        for (int k = 0; k < wide; k++)
            tile[i][k] = (VECTOR){0};
    for (int64_t row = 0; row < rows; row++) {
        VECTOR columns[WIDE];
        for (int k = 0; k < wide; k++)
            columns[k] = *(const LOOSE_VECTOR *)(right + k * VECTOR_SIZE);
        for (int i = 0; i < TALL; i++)
            for (int k = 0; k < wide; k++)
                tile[i][k] += left[i] * columns[k];
        left += width;
        right += width;
    }
    for (int i = 0; i < TALL; i++) {
        for (int k = 0; k < wide; k++) {
            REAL values[VECTOR_SIZE];
            double *to = sums + i * width + k * VECTOR_SIZE;
            *(LOOSE_VECTOR *)values = tile[i][k];
            for (int64_t lane = 0; lane < VECTOR_SIZE; lane++)
                to[lane] += (double)values[lane];
        }
    }
}

/* Add left^T right, of which all that stands above the diagonal. */
static void NAME2(add_weighted_chunk, REAL)(const REAL *left, const REAL *right, int64_t rows,
                                            int64_t width, double *products)
{
    for (int64_t i = 0; i < width; i += TALL) {
        int64_t j = i / VECTOR_SIZE * VECTOR_SIZE;
        while (j < width) {
            int64_t behind = (width - j) / VECTOR_SIZE;
            double *sums = products + i * width + j;
            if (behind == 1) {
                NAME2(add_weighted_tile, REAL)(left + i, right + j, rows, width, sums, 1);
                j += VECTOR_SIZE;
            } else if (behind == 2 || behind == 4) {
                NAME2(add_weighted_tile, REAL)(left + i, right + j, rows, width, sums, 2);
                j += 2 * VECTOR_SIZE;
            } else {
                NAME2(add_weighted_tile, REAL)(left + i, right + j, rows, width, sums, 3);
                j += 3 * VECTOR_SIZE;
            }
        }
    }
}
