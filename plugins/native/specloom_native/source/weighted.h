/* Sums of weighted products of centred rows: what the gradients of distances follow from.
 *
 * Rows are copied to a chunk, centred, with a one behind the bands, and once more times their
 * factors. The products of a chunk are in REAL, the sums of chunks in float64.
 */
enum { WEIGHTED_ROWS = 256 };

#define REAL float
#include "weighted_in.h"
#define TYPE float
#include "weighted_of.h"
#undef TYPE
#undef REAL

#define REAL double
#include "weighted_in.h"
#define TYPE float
#include "weighted_of.h"
#undef TYPE
#define TYPE double
#include "weighted_of.h"
#undef TYPE
#undef REAL
