/* What distances computed in REAL need, whatever the type of the rows. */

#define VECTOR NAME2(vector, REAL)
#define LOOSE_VECTOR NAME2(loose_vector, REAL)
/* Sums of squares are formed in this many lanes, with each size of a register. */
#define LANES ((int64_t)(64 / sizeof(REAL)))
#define VECTOR_SIZE ((int64_t)(REGISTER / sizeof(REAL)))
#define PANEL (PANEL_VECTORS * VECTOR_SIZE)

typedef REAL VECTOR __attribute__((vector_size(REGISTER)));
typedef REAL LOOSE_VECTOR __attribute__((vector_size(REGISTER), aligned(sizeof(REAL)), may_alias));

/* Columns of a panel. */
EXPORT int64_t EXPORTED_FOR(distances_panel, REAL)(void)
{
    return PANEL;
}

/* Numbers of working memory, for a number of bands. */
EXPORT int64_t EXPORTED_FOR(distances_work, REAL)(int64_t bands)
{
    return CHUNK_ROWS * (bands + LANES);
}

/* Add products of TILE_ROWS rows with the bands from `first` on of vectors of columns of a panel. */
INLINE void NAME2(add_bands, REAL)(const REAL *rows, int64_t bands, const REAL *panel,
                                   int64_t first, int64_t end, int first_vector,
                                   VECTOR tile[TILE_ROWS][PANEL_VECTORS])
{
    for (int64_t band = first; band < end; band++) {
        VECTOR columns[PANEL_VECTORS];
        for (int k = first_vector; k < PANEL_VECTORS; k++)
            columns[k] = *(const LOOSE_VECTOR *)(panel + band * PANEL + k * VECTOR_SIZE);
        for (int row = 0; row < TILE_ROWS; row++)
            for (int k = first_vector; k < PANEL_VECTORS; k++)
                tile[row][k] += rows[row * bands + band] * columns[k];
    }
}

/* Add the squares of TILE_ROWS centred rows times a panel of W, minus the rest.
 *
 * The first vector of its columns is zero from the band `whole` on, and all from `height` on.
 */
INLINE void NAME2(add_squares, REAL)(const REAL *rows, int64_t bands, const REAL *panel,
                                     int64_t whole, int64_t height, const REAL *rest,
                                     REAL *squares)
{
    VECTOR tile[TILE_ROWS][PANEL_VECTORS];
    for (int k = 0; k < PANEL_VECTORS; k++) {
        VECTOR start = -*(const LOOSE_VECTOR *)(rest + k * VECTOR_SIZE);
        for (int row = 0; row < TILE_ROWS; row++)
            tile[row][k] = start;
    }
    NAME2(add_bands, REAL)(rows, bands, panel, 0, whole, 0, tile);
    NAME2(add_bands, REAL)(rows, bands, panel, whole, height, 1, tile);
    for (int row = 0; row < TILE_ROWS; row++) {
        for (int k = 0; k < PANEL_VECTORS; k++) {
            LOOSE_VECTOR *sum = (LOOSE_VECTOR *)(squares + row * LANES + k * VECTOR_SIZE % LANES);
            *sum += tile[row][k] * tile[row][k];
        }
    }
}

/* The sums of squares of CHUNK_ROWS centred rows, in LANES parts each; reads the next rows. */
static void NAME2(sum_squares, REAL)(const REAL *rows, int64_t count, int64_t bands,
                                     const REAL *panels, int64_t panel_count, int triangular,
                                     const REAL *rest, REAL *squares, upcoming next)
{
    memset(squares, 0, sizeof(REAL) * (size_t)(CHUNK_ROWS * LANES));
    for (int64_t i = 0; i < panel_count; i++) {
        int64_t height = bands;
        int64_t whole = bands;
        if (triangular && (i + 1) * PANEL < bands)
            height = (i + 1) * PANEL;
        if (triangular && i * PANEL + VECTOR_SIZE < bands)
            whole = i * PANEL + VECTOR_SIZE;
        read_ahead(next, i, panel_count);
        for (int64_t row = 0; row < count; row += TILE_ROWS)
            NAME2(add_squares, REAL)(rows + row * bands, bands, panels, whole, height,
                                     rest + i * PANEL, squares + row * LANES);
        panels += height * PANEL;
    }
}
