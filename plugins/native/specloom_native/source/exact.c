/* The kernels that round after each operation, as torch does: compiled without contraction. */
#include "vectors.h"

#include <math.h>

/* So many rows are compared side by side. */
enum { ABREAST = 16 };
/* So many values are compared side by side: with more, those of float do not stay in registers. */
enum { RANGE_LANES = 32 };

#define TYPE float
#include "exact_of.h"
#undef TYPE
#define TYPE double
#include "exact_of.h"
#undef TYPE

#include "histograms.h"

#include "scatter.h"

#include "background.h"

#include "rows.h"

#include "medians.h"
