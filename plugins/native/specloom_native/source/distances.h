/* Squared Mahalanobis distances |(x - center) W - rest|^2 of rows x.
 *
 * A chunk of rows is centred once and stays in the first cache; columns of W come in panels, whose
 * products with a few rows stay in registers until they are squared. The columns of a panel lie
 * together, without the rows of W that are zero where W is upper triangular.
 */
enum { CHUNK_ROWS = 48, TILE_ROWS = 3 * REGISTER / 16, PANEL_VECTORS = 2 };
/* TILE_ROWS x PANEL_VECTORS sums fill the registers: 12 of 16 with AVX2, 24 of 32 with AVX-512. */

#define REAL float
#define TYPE float
#include "distances_in.h"
#include "distances_of.h"
#undef TYPE
#undef REAL

#define REAL double
#include "distances_in.h"
#define TYPE float
#include "distances_of.h"
#undef TYPE
#define TYPE double
#include "distances_of.h"
#undef TYPE
#undef REAL
