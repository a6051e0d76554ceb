/* Rows of bands as doubles. */

/* Whether all of some doubles are finite. */
INLINE int all_finite(const double *values, int64_t count)
{
    enum { SIDE_BY_SIDE = 4 };
    vector checks[SIDE_BY_SIDE] = {{0}};
    double check = 0;
    int64_t i = 0;
    for (; i + SIDE_BY_SIDE * DOUBLES <= count; i += SIDE_BY_SIDE * DOUBLES)
        for (int k = 0; k < SIDE_BY_SIDE; k++)
            checks[k] += 0 * load(values + i + k * DOUBLES);
    for (; i + DOUBLES <= count; i += DOUBLES)
        checks[0] += 0 * load(values + i);
    for (; i < count; i++)
        check += 0 * values[i];
    vector total = (checks[0] + checks[1]) + (checks[2] + checks[3]);
    for (int lane = 0; lane < DOUBLES; lane++)
        check += total[lane];
    return check == 0;
}

#define TYPE float
#include "rows_of.h"
#undef TYPE
#define TYPE double
#include "rows_of.h"
#undef TYPE
