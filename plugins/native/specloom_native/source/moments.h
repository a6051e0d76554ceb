/* Sums of products of the shifted bands of rows, in float64: what means and covariances follow from.
 *
 * Rows are copied to a chunk that stays in the first cache, with a one behind the bands, and the
 * upper triangle of chunk^T chunk is added tile by tile from registers.
 */
enum { MOMENT_ROWS = 64, TALL = DOUBLES, WIDE = 3 };

/* Rows and columns of the products, for a number of bands. */
EXPORT int64_t EXPORTED(moments_width)(int64_t bands)
{
    return padded(bands + 1, DOUBLES);
}

/* Doubles of working memory, for a number of bands. */
EXPORT int64_t EXPORTED(moments_work)(int64_t bands)
{
    return MOMENT_ROWS * EXPORTED(moments_width)(bands);
}

/* Add left^T right, of TALL columns by `wide` vectors of columns of a chunk. */
INLINE void add_tile(const double *left, const double *right, int64_t rows, int64_t width,
                     double *sums, int wide)
{
    vector tile[TALL][WIDE];
    for (int i = 0; i < TALL; i++)
        for (int k = 0; k < wide; k++)
            tile[i][k] = (vector){0};
    for (int64_t row = 0; row < rows; row++) {
        vector columns[WIDE];
        for (int k = 0; k < wide; k++)
            columns[k] = load(right + k * DOUBLES);
        for (int i = 0; i < TALL; i++)
            for (int k = 0; k < wide; k++)
                tile[i][k] += left[i] * columns[k];
        left += width;
        right += width;
    }
    for (int i = 0; i < TALL; i++) {
        double *to = sums + i * width;
        for (int k = 0; k < wide; k++)
            store(to + k * DOUBLES, load(to + k * DOUBLES) + tile[i][k]);
    }
}

/* Add the upper triangle of chunk^T chunk, and read the next rows meanwhile. */
static void add_chunk(const double *chunk, int64_t rows, int64_t width, double *products,
                      upcoming next)
{
    for (int64_t i = 0; i < width; i += TALL) {
        read_ahead(next, i / TALL, width / TALL);
        int64_t j = i;
        while (j < width) {
            int64_t left = (width - j) / DOUBLES;
            double *sums = products + i * width + j;
            if (left == 1) {
                add_tile(chunk + i, chunk + j, rows, width, sums, 1);
                j += DOUBLES;
            } else if (left == 2 || left == 4) {
                add_tile(chunk + i, chunk + j, rows, width, sums, 2);
                j += 2 * DOUBLES;
            } else {
                add_tile(chunk + i, chunk + j, rows, width, sums, 3);
                j += 3 * DOUBLES;
            }
        }
    }
}

/* Move the finite ones of some rows to the front; how many these are. */
static int64_t select_finite(double *rows, int64_t count, int64_t width)
{
    int64_t finite = 0;
    if (all_finite(rows, count * width))
        return count;
    for (int64_t row = 0; row < count; row++) {
        if (!all_finite(rows + row * width, width))
            continue;
        if (finite < row)
            memcpy(rows + finite * width, rows + row * width, sizeof(double) * (size_t)width);
        finite++;
    }
    return finite;
}

#define TYPE float
#include "moments_of.h"
#undef TYPE
#define TYPE double
#include "moments_of.h"
#undef TYPE
