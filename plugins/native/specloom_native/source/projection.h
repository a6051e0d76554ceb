/* Affine maps of rows to a few components, in float64: A x + b. */
enum { QUAD = 4, PROJECTED_ROWS = 4, COMPONENTS = 3 };

/* Sums are formed in four lanes, with each size of a register. */
typedef double quad __attribute__((vector_size(8 * QUAD)));
typedef double loose_quad __attribute__((vector_size(8 * QUAD), aligned(8), may_alias));

/* Components that are computed together. */
EXPORT int64_t EXPORTED(projection_group)(void)
{
    return COMPONENTS;
}

/* Columns of the matrix, for a number of bands. */
EXPORT int64_t EXPORTED(projection_width)(int64_t bands)
{
    return padded(bands, QUAD);
}

#define TYPE float
#include "projection_of.h"
#undef TYPE
#define TYPE double
#include "projection_of.h"
#undef TYPE
