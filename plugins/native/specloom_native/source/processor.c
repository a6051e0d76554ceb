/* What the processor and the system offer; compiled for every processor of its kind. */
#include "vectors.h"

#if defined(__x86_64__)
#include <cpuid.h>

enum { FMA = 1 << 12, OSXSAVE = 1 << 27, AVX2 = 1 << 5, AVX_STATE = 0x6, AVX512_STATE = 0xE6 };
/* AVX512F, DQ, CD, BW and VL. */
#define AVX512 (1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31)

/* The registers that the system saves. */
static unsigned saved_registers(void)
{
    unsigned low;
    unsigned high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}
#endif

/* Whether there are AVX2 and fused multiply-adds (1), and the parts of AVX-512 in use here (2). */
EXPORT int64_t processor_level(void)
{
#if defined(__x86_64__)
    unsigned a;
    unsigned b;
    unsigned c;
    unsigned d;
    if (!__get_cpuid_count(1, 0, &a, &b, &c, &d) || !(c & FMA) || !(c & OSXSAVE))
        return 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & AVX2))
        return 0;
    unsigned saved = saved_registers();
    if ((saved & AVX_STATE) != AVX_STATE)
        return 0;
    if ((b & AVX512) == AVX512 && (saved & AVX512_STATE) == AVX512_STATE)
        return 2;
#endif
    return 1;
}
