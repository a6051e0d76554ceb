/* What the processor offers; compiled for every processor of its kind. */
#include "vectors.h"

/* Whether it has AVX2 and fused multiply-adds (1), and the parts of AVX-512 in use here (2). */
EXPORT int64_t processor_level(void)
{
#if defined(__x86_64__) || defined(_M_X64)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return 0;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")
        && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512cd"))
        return 2;
    return 1;
#else
    return 1;
#endif
}
