/* Sums of the shifted bands of rows and of their squares, in float64. */

#define TYPE float
#include "variances_of.h"
#undef TYPE
#define TYPE double
#include "variances_of.h"
#undef TYPE
