/* The kernels that round after each operation, as torch does: compiled without contraction. */
#include "vectors.h"

#define TYPE float
#include "exact_of.h"
#undef TYPE
#define TYPE double
#include "exact_of.h"
#undef TYPE

#include "histograms.h"
