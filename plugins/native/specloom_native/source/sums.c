/* Sums that memory limits, not registers. They are contracted to fused multiply-adds. */
#include "vectors.h"

#include "rows.h"

#include "variances.h"

#include "projection.h"

#include "whitening.h"
