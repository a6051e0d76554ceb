/* Finite rows, extremes and scaling, of one TYPE. */

#define FLOATS ((int64_t)(REGISTER / sizeof(TYPE)))

typedef TYPE NAME2(register, TYPE)
    __attribute__((vector_size(REGISTER), aligned(sizeof(TYPE)), may_alias));

/* Whether all values of a row are finite. */
INLINE int NAME2(is_finite, TYPE)(const TYPE *row, int64_t bands)
{
    NAME2(register, TYPE) checks = {0};
    TYPE check = 0;
    int64_t band = 0;
    for (; band + FLOATS <= bands; band += FLOATS)
        checks += 0 * *(const NAME2(register, TYPE) *)(row + band);
    for (; band < bands; band++)
        check += 0 * row[band];
    for (int64_t lane = 0; lane < FLOATS; lane++)
        check += checks[lane];
    return check == 0;
}

/* Which rows are finite and selected, a byte each; how many these are. */
EXPORT int64_t EXPORTED_FOR(usable, TYPE)(const TYPE *rows, int64_t count, int64_t stride,
                                          int64_t bands, const uint8_t *keep, uint8_t *results)
{
    int64_t used = 0;
    for (int64_t row = 0; row < count; row++) {
        results[row] = 0;
        if (!keep || keep[row])
            results[row] = (uint8_t)NAME2(is_finite, TYPE)(rows + row * stride, bands);
        used += results[row];
    }
    return used;
}

/* Lower low and raise high to the extremes of the finite rows that are selected; how many. */
INLINE int64_t NAME2(compare_rows, TYPE)(const TYPE *restrict rows, int64_t count, int64_t stride,
                                         int64_t bands, const uint8_t *keep, TYPE *restrict low,
                                         TYPE *restrict high)
{
    int64_t used = 0;
    for (int64_t row = 0; row < count; row++) {
        const TYPE *values = rows + row * stride;
        if (keep && !keep[row])
            continue;
        if (!NAME2(is_finite, TYPE)(values, bands))
            continue;
        for (int64_t band = 0; band < bands; band++) {
            low[band] = values[band] < low[band] ? values[band] : low[band];
            high[band] = values[band] > high[band] ? values[band] : high[band];
        }
        used++;
    }
    return used;
}

/* The same, with all rows and ABREAST of them side by side, so that short rows fill registers.
 *
 * Whether that was possible: if a row is not finite, low and high stay as they are.
 */
static int NAME2(compare_abreast, TYPE)(const TYPE *rows, int64_t count, int64_t bands, TYPE *low,
                                        TYPE *high, TYPE *work)
{
    int64_t wide = ABREAST * bands;
    TYPE *lows = work;
    TYPE *highs = work + wide;
    int64_t whole = count / ABREAST;
    for (int64_t i = 0; i < wide; i++) {
        lows[i] = (TYPE)INFINITY;
        highs[i] = -(TYPE)INFINITY;
    }
    if (NAME2(compare_rows, TYPE)(rows, whole, wide, wide, NULL, lows, highs) < whole)
        return 0;
    for (int64_t i = 0; i < wide; i++) {
        int64_t band = i % bands;
        low[band] = lows[i] < low[band] ? lows[i] : low[band];
        high[band] = highs[i] > high[band] ? highs[i] : high[band];
    }
    return 1;
}

/* Numbers of working memory, for a number of bands. */
EXPORT int64_t EXPORTED_FOR(extremes_work, TYPE)(int64_t bands)
{
    return 2 * ABREAST * bands;
}

/* Lower low and raise high to the extremes of the finite rows that are selected; how many. */
EXPORT int64_t EXPORTED_FOR(extremes, TYPE)(const TYPE *rows, int64_t count, int64_t stride,
                                            int64_t bands, const uint8_t *keep, TYPE *low,
                                            TYPE *high, TYPE *work)
{
    int64_t done = 0;
    if (!keep && stride == bands && count >= ABREAST
        && NAME2(compare_abreast, TYPE)(rows, count, bands, low, high, work))
        done = count / ABREAST * ABREAST;
    return done
           + NAME2(compare_rows, TYPE)(rows + done * stride, count - done, stride, bands,
                                       keep ? keep + done : NULL, low, high);
}

/* The extremes of some values, infinite without a value; whether all of these are finite. */
EXPORT int64_t EXPORTED_FOR(range, TYPE)(const TYPE *restrict values, int64_t count,
                                         TYPE *restrict low, TYPE *restrict high)
{
    *low = (TYPE)INFINITY;
    *high = -(TYPE)INFINITY;
    TYPE lows[RANGE_LANES];
    TYPE highs[RANGE_LANES];
    TYPE checks[RANGE_LANES];
    for (int lane = 0; lane < RANGE_LANES; lane++) {
        lows[lane] = *low;
        highs[lane] = *high;
        checks[lane] = 0;
    }
    int64_t i = 0;
    for (; i + RANGE_LANES <= count; i += RANGE_LANES) {
        fetch_later(values + i, RANGE_LANES * sizeof(TYPE));
        for (int lane = 0; lane < RANGE_LANES; lane++) {
            TYPE value = values[i + lane];
            lows[lane] = value < lows[lane] ? value : lows[lane];
            highs[lane] = value > highs[lane] ? value : highs[lane];
            checks[lane] += 0 * value;
        }
    }
    for (int lane = 0; i + lane < count; lane++) {
        TYPE value = values[i + lane];
        lows[lane] = value < lows[lane] ? value : lows[lane];
        highs[lane] = value > highs[lane] ? value : highs[lane];
        checks[lane] += 0 * value;
    }
    TYPE check = 0;
    for (int lane = 0; lane < RANGE_LANES; lane++) {
        *low = lows[lane] < *low ? lows[lane] : *low;
        *high = highs[lane] > *high ? highs[lane] : *high;
        check += checks[lane];
    }
    return check == 0;
}

/* (value - low) / span of each value, limited to [0, 1] where clip is set.
 *
 * low, span: of each band where per_band is set, else one for all. An infinite value is NaN where
 * it is clipped.
 */
EXPORT void EXPORTED_FOR(scale, TYPE)(const TYPE *restrict rows, int64_t count, int64_t stride,
                                      int64_t bands, const TYPE *restrict low,
                                      const TYPE *restrict span, int64_t per_band, int64_t clip,
                                      TYPE *restrict results)
{
    for (int64_t row = 0; row < count; row++) {
        const TYPE *from = rows + row * stride;
        TYPE *to = results + row * bands;
        if (per_band) {
            for (int64_t band = 0; band < bands; band++)
                to[band] = (from[band] - low[band]) / span[band];
        } else {
            for (int64_t band = 0; band < bands; band++)
                to[band] = (from[band] - low[0]) / span[0];
        }
        if (!clip)
            continue;
        for (int64_t band = 0; band < bands; band++) {
            TYPE value = to[band];
            TYPE positive = value > 0 ? value : 0;
            TYPE limited = positive < 1 ? positive : 1;
            to[band] = limited + 0 * value;
        }
    }
}

#undef FLOATS
