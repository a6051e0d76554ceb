/* What all kernels share: vectors, and the names of exported functions.
 *
 * Vectors are those of the compiler (GCC, Clang), so that one source serves AVX2, AVX-512 and NEON.
 * REGISTER is the number of bytes of one. Sums are formed in an order that does not depend on it:
 * results are the same with each instruction set, bit for bit.
 */
#ifndef SPECLOOM_VECTORS_H
#define SPECLOOM_VECTORS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifndef REGISTER
#define REGISTER 32
#endif
#ifndef SUFFIX
#define SUFFIX baseline
#endif

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

#define INLINE static inline __attribute__((always_inline))
#define JOIN2(a, b) a##_##b
#define JOIN3(a, b, c) a##_##b##_##c
#define JOIN4(a, b, c, d) a##_##b##_##c##_##d
#define NAME2(a, b) JOIN2(a, b)
#define NAME3(a, b, c) JOIN3(a, b, c)
#define NAME4(a, b, c, d) JOIN4(a, b, c, d)
/* The name of a function that Python calls, and of one for a type or two. */
#define EXPORTED(name) NAME2(name, SUFFIX)
#define EXPORTED_FOR(name, type) NAME3(name, type, SUFFIX)
#define EXPORTED_FOR2(name, type, other) NAME4(name, type, other, SUFFIX)

#define DOUBLES (REGISTER / 8)

/* Doubles in a register, and the same at any address. */
typedef double vector __attribute__((vector_size(REGISTER)));
typedef double loose_vector __attribute__((vector_size(REGISTER), aligned(8), may_alias));

INLINE vector load(const double *from)
{
    return *(const loose_vector *)from;
}

INLINE void store(double *to, vector values)
{
    *(loose_vector *)to = values;
}

/* Rows that are needed soon: while a chunk is multiplied, the processor does not read ahead. */
typedef struct {
    const char *first;
    int64_t count;
    /* Bytes from row to row, and of a row. */
    int64_t stride;
    int64_t size;
} upcoming;

/* Begin to read some bytes. */
INLINE void fetch(const void *from, int64_t size)
{
    enum { LINE = 64 };
    for (int64_t byte = 0; byte < size; byte += LINE)
        __builtin_prefetch((const char *)from + byte);
}

/* Begin to read what follows two pages behind some bytes of a long array, whether it is there or
 * not, and at each page to look for one that is needed later: by itself the processor stops at the
 * end of a page.
 */
INLINE void fetch_later(const void *from, int64_t size)
{
    enum { PAGE = 4096, LATER = 2 * PAGE, MUCH_LATER = 8 * PAGE };
    uintptr_t place = (uintptr_t)from;
    fetch((const void *)(place + LATER), size);
    if (place % PAGE < (uintptr_t)size)
        __builtin_prefetch((const void *)(place + MUCH_LATER));
}

/* Begin to read some of them, of which each of `parts` steps has its share. */
INLINE void read_ahead(upcoming rows, int64_t part, int64_t parts)
{
    int64_t end = (part + 1) * rows.count / parts;
    for (int64_t row = part * rows.count / parts; row < end; row++)
        fetch(rows.first + row * rows.stride, rows.size);
}

INLINE int64_t padded(int64_t size, int64_t step)
{
    return (size + step - 1) / step * step;
}

#endif
