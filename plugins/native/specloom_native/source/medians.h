/* The median of the first rows: what sums are shifted by. */

/* So many rows are taken, from the first block of so many rows that has one. */
enum { MEDIAN_ROWS = 128, MEDIAN_BLOCK = 1024 };

/* Put the smaller number of each band into one row, the larger one into the other. */
INLINE void exchange(double *restrict low, double *restrict high, int64_t bands)
{
    for (int64_t band = 0; band < bands; band++) {
        double first = low[band];
        double second = high[band];
        low[band] = second < first ? second : first;
        high[band] = second < first ? first : second;
    }
}

/* Sort each band of some finite rows, by a network that is the same for all bands.
 *
 * Source: K. E. Batcher, Sorting networks and their applications, AFIPS 1968, odd-even merging.
 */
static void sort_bands(double *rows, int64_t count, int64_t bands)
{
    for (int64_t merged = 1; merged < count; merged *= 2) {
        /* What the numbers of rows have in common that are merged with each other. */
        int64_t group = -2 * merged;
        for (int64_t apart = merged; apart > 0; apart /= 2) {
            for (int64_t start = apart % merged; start + apart < count; start += 2 * apart) {
                for (int64_t row = start; row < start + apart && row + apart < count; row++) {
                    if ((row & group) == ((row + apart) & group))
                        exchange(rows + row * bands, rows + (row + apart) * bands, bands);
                }
            }
        }
    }
}

/* Numbers of working memory, for a number of bands. */
EXPORT int64_t EXPORTED(median_work)(int64_t bands)
{
    return (MEDIAN_ROWS + 1) * bands;
}

#define TYPE float
#include "medians_of.h"
#undef TYPE
#define TYPE double
#include "medians_of.h"
#undef TYPE
