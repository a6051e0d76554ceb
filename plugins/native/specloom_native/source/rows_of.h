/* Rows of one TYPE as doubles. */

/* As many values as doubles in a register, and the same at any address. */
typedef TYPE NAME2(part, TYPE) __attribute__((vector_size(sizeof(TYPE) * DOUBLES)));
typedef TYPE NAME2(loose_part, TYPE)
    __attribute__((vector_size(sizeof(TYPE) * DOUBLES), aligned(sizeof(TYPE)), may_alias));

INLINE NAME2(part, TYPE) NAME2(load_part, TYPE)(const TYPE *from)
{
    return *(const NAME2(loose_part, TYPE) *)from;
}

/* The first values where they are below the second ones, else the others. */
INLINE NAME2(part, TYPE) NAME2(lesser, TYPE)(NAME2(part, TYPE) first, NAME2(part, TYPE) second,
                                             NAME2(part, TYPE) chosen, NAME2(part, TYPE) others)
{
    __typeof__(first < second) is_less = first < second;
    return (NAME2(part, TYPE))((is_less & (__typeof__(is_less))chosen)
                               | (~is_less & (__typeof__(is_less))others));
}

/* DOUBLES bands of a row, mapped, limited and shifted; not finite where a band is not. */
INLINE vector NAME2(load_bands, TYPE)(const TYPE *row, int64_t band, const double *scale,
                                      const double *offset, const TYPE *low, const TYPE *high,
                                      const double *shift)
{
    NAME2(part, TYPE) values = NAME2(load_part, TYPE)(row + band);
    vector wide = __builtin_convertvector(values, vector);
    if (scale)
        return wide * load(scale + band) + load(offset + band) - load(shift + band);
    if (!low)
        return wide - load(shift + band);
    NAME2(part, TYPE) least = NAME2(load_part, TYPE)(low + band);
    NAME2(part, TYPE) most = NAME2(load_part, TYPE)(high + band);
    NAME2(part, TYPE) above = NAME2(lesser, TYPE)(values, least, least, values);
    NAME2(part, TYPE) limited = NAME2(lesser, TYPE)(most, above, most, above);
    /* An infinite value is limited, but the row is to be excluded. */
    return __builtin_convertvector(limited, vector) - load(shift + band) + 0 * wide;
}

/* The same of one band. */
INLINE double NAME2(load_band, TYPE)(const TYPE *row, int64_t band, const double *scale,
                                     const double *offset, const TYPE *low, const TYPE *high,
                                     const double *shift)
{
    TYPE value = row[band];
    if (scale)
        return (double)value * scale[band] + offset[band] - shift[band];
    if (!low)
        return (double)value - shift[band];
    TYPE above = value < low[band] ? low[band] : value;
    TYPE limited = above > high[band] ? high[band] : above;
    return (double)limited - shift[band] + 0 * (double)value;
}

/* Copy one row, mapped, limited and shifted. */
INLINE void NAME2(copy_row, TYPE)(const TYPE *row, int64_t bands, const double *scale,
                                  const double *offset, const TYPE *low, const TYPE *high,
                                  const double *shift, double *to)
{
    int64_t band = 0;
    for (; band + DOUBLES <= bands; band += DOUBLES)
        store(to + band,
              NAME2(load_bands, TYPE)(row, band, scale, offset, low, high, shift));
    if (bands < DOUBLES) {
        for (; band < bands; band++)
            to[band] = NAME2(load_band, TYPE)(row, band, scale, offset, low, high, shift);
    } else if (band < bands) {
        /* The last bands fill a register together with some that are copied already. */
        band = bands - DOUBLES;
        store(to + band,
              NAME2(load_bands, TYPE)(row, band, scale, offset, low, high, shift));
    }
}

/* The same; whether all its bands are finite. */
INLINE int NAME2(load_row, TYPE)(const TYPE *row, int64_t bands, const double *scale,
                                 const double *offset, const TYPE *low, const TYPE *high,
                                 const double *shift, double *to)
{
    NAME2(copy_row, TYPE)(row, bands, scale, offset, low, high, shift, to);
    return all_finite(to, bands);
}
