/* Products of rows: what gains from larger registers, and is compiled for each instruction set.
 *
 * Products and sums are contracted to fused multiply-adds.
 */
#include "vectors.h"

#include "rows.h"

#include "moments.h"

#include "distances.h"

#include "weighted.h"
