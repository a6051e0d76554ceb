/* The projection of rows of one TYPE. */

typedef TYPE NAME2(quad, TYPE) __attribute__((vector_size(sizeof(TYPE) * QUAD)));
typedef TYPE NAME2(loose_quad, TYPE)
    __attribute__((vector_size(sizeof(TYPE) * QUAD), aligned(sizeof(TYPE)), may_alias));

INLINE quad NAME2(load_quad, TYPE)(const TYPE *from)
{
    NAME2(quad, TYPE) values = *(const NAME2(loose_quad, TYPE) *)from;
    return __builtin_convertvector(values, quad);
}

/* Add the products of four bands of PROJECTED_ROWS rows with those of each component. */
INLINE void NAME2(add_products, TYPE)(const TYPE *const *rows, int64_t band, const double *matrix,
                                      quad sums[PROJECTED_ROWS][COMPONENTS])
{
    quad factors[COMPONENTS];
    for (int k = 0; k < COMPONENTS; k++)
        factors[k] = *(const loose_quad *)(matrix + k * QUAD);
    for (int row = 0; row < PROJECTED_ROWS; row++) {
        quad values = NAME2(load_quad, TYPE)(rows[row] + band);
        for (int k = 0; k < COMPONENTS; k++)
            sums[row][k] += values * factors[k];
    }
}

/* Project PROJECTED_ROWS rows on COMPONENTS components. */
INLINE void NAME2(project_tile, TYPE)(const TYPE *const *rows, int64_t bands, const double *matrix,
                                      const double *bias, TYPE to[PROJECTED_ROWS][COMPONENTS])
{
    quad sums[PROJECTED_ROWS][COMPONENTS];
    int64_t band = 0;
    for (int row = 0; row < PROJECTED_ROWS; row++)
        for (int k = 0; k < COMPONENTS; k++)
            sums[row][k] = (quad){0};
    for (; band + QUAD <= bands; band += QUAD)
        NAME2(add_products, TYPE)(rows, band, matrix + band * COMPONENTS, sums);
    if (band < bands) {
        TYPE last[PROJECTED_ROWS][QUAD] = {{0}};
        const TYPE *lasts[PROJECTED_ROWS];
        for (int row = 0; row < PROJECTED_ROWS; row++) {
            memcpy(last[row], rows[row] + band, sizeof(TYPE) * (size_t)(bands - band));
            lasts[row] = last[row];
        }
        NAME2(add_products, TYPE)(lasts, 0, matrix + band * COMPONENTS, sums);
    }
    for (int row = 0; row < PROJECTED_ROWS; row++) {
        for (int k = 0; k < COMPONENTS; k++) {
            quad sum = sums[row][k];
            TYPE result = (TYPE)((sum[0] + sum[1]) + (sum[2] + sum[3]) + bias[k]);
            /* NaN where a row was infinite, or where it overflows. */
            to[row][k] = result + 0 * result;
        }
    }
}

/* The components of rows, (count, components); NaN for rows that are not finite.
 *
 * rows: count rows of bands values, stride values apart.
 * matrix: by group of components, by four bands, by component, by band; filled up with zeros.
 * bias: of each component, filled up.
 */
EXPORT void EXPORTED_FOR(project, TYPE)(const TYPE *rows, int64_t count, int64_t stride,
                                        int64_t bands, const double *matrix, const double *bias,
                                        int64_t components, TYPE *results)
{
    int64_t group = COMPONENTS * EXPORTED(projection_width)(bands);
    for (int64_t start = 0; start < count; start += PROJECTED_ROWS) {
        const TYPE *tile[PROJECTED_ROWS];
        int64_t size = count - start;
        if (size > PROJECTED_ROWS)
            size = PROJECTED_ROWS;
        for (int64_t row = 0; row < PROJECTED_ROWS; row++)
            tile[row] = rows + (start + (row < size ? row : 0)) * stride;
        for (int64_t first = 0; first < components; first += COMPONENTS) {
            TYPE values[PROJECTED_ROWS][COMPONENTS];
            NAME2(project_tile, TYPE)(tile, bands, matrix + first / COMPONENTS * group,
                                      bias + first, values);
            for (int64_t row = 0; row < size; row++)
                for (int64_t k = 0; k < COMPONENTS && first + k < components; k++)
                    results[(start + row) * components + first + k] = values[row][k];
        }
    }
}
