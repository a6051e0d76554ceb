/* Rows of bands as doubles. */

/* Whether all of some doubles are finite. */
INLINE int all_finite(const double *values, int64_t count)
{
    vector checks = {0};
    double check = 0;
    int64_t i = 0;
    for (; i + DOUBLES <= count; i += DOUBLES)
        checks += 0 * load(values + i);
    for (; i < count; i++)
        check += 0 * values[i];
    for (int lane = 0; lane < DOUBLES; lane++)
        check += checks[lane];
    return check == 0;
}

#define TYPE float
#include "rows_of.h"
#undef TYPE
#define TYPE double
#include "rows_of.h"
#undef TYPE
