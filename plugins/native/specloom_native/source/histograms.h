/* Fine histograms of bands, of all rows and of those of one class, in one sweep.
 *
 * Bins have one width: bin 0 is below the first cut. The whole number next to value * scale is
 * read from the last bits of 2^23 + value * scale, where float32 has no others.
 */
enum { COUNTED_ROWS = 4096, GROUP = 16 };

/* The bin of a value. */
INLINE int32_t bin_of(float value, float scale, float shift, float most)
{
    const float whole = 8388608;
    float product = value * scale;
    float sum = product + shift;
    float above = sum > whole ? sum : whole;
    float limited = above < most ? above : most;
    return (int32_t)(limited - whole);
}

/* The bins of all bands of some rows, by group of bands, by row. */
static void find_bins(const float *restrict rows, int64_t count, int64_t stride,
                      const int64_t *restrict bands, int64_t band_count,
                      const float *restrict scale, const float *restrict shift, float most,
                      int32_t *restrict bins)
{
    int adjacent = bands[band_count - 1] - bands[0] == band_count - 1;
    for (int64_t row = 0; row < count; row++) {
        const float *values = rows + row * stride;
        int64_t i = 0;
        for (; adjacent && i + GROUP <= band_count; i += GROUP) {
            int32_t *to = bins + i * COUNTED_ROWS + row * GROUP;
            for (int k = 0; k < GROUP; k++)
                to[k] = bin_of(values[bands[0] + i + k], scale[i + k], shift[i + k], most);
        }
        for (; i < band_count; i++) {
            int64_t group = i / GROUP * GROUP;
            bins[group * COUNTED_ROWS + row * GROUP + i - group]
                = bin_of(values[bands[i]], scale[i], shift[i], most);
        }
    }
}

/* Count some rows, by their numbers, in the histograms of `band_count` bands. */
INLINE void count_bins(const int32_t *restrict bins, const int32_t *restrict numbers, int64_t count,
                       int64_t band_count, int64_t size, int32_t *restrict histograms)
{
    for (int64_t row = 0; row < count; row++) {
        const int32_t *from = bins + numbers[row] * GROUP;
        for (int64_t i = 0; i < band_count; i++)
            histograms[i * size + from[i]]++;
    }
}

/* Write the numbers of the rows that both select; how many these are. */
INLINE int64_t select_rows(const uint8_t *first, const uint8_t *second, int64_t count,
                           int32_t *restrict numbers)
{
    int64_t selected = 0;
    for (int64_t row = 0; row < count; row++) {
        numbers[selected] = (int32_t)row;
        selected += first[row] && second[row];
    }
    return selected;
}

/* Numbers of working memory, for a number of bands. */
EXPORT int64_t EXPORTED(histograms_work)(int64_t band_count)
{
    return COUNTED_ROWS * (padded(band_count, GROUP) + 2);
}

/* Add rows to the histograms of all and of one class.
 *
 * rows: count rows of finite values, stride values apart.
 * keep: a byte a row, which selects rows; rare: a byte a row, which selects those of the class.
 * bands: the numbers of the bands; scale, shift: of each of them.
 * size: the bins of a histogram; whole, part: (band_count, size).
 */
EXPORT void EXPORTED(histograms)(const float *rows, int64_t count, int64_t stride,
                                 const uint8_t *keep, const uint8_t *rare, const int64_t *bands,
                                 int64_t band_count, const float *scale, const float *shift,
                                 int64_t size, int32_t *whole, int32_t *part, int32_t *work)
{
    const float most = 8388608 + (float)(size - 1);
    int32_t *all = work;
    int32_t *some = all + COUNTED_ROWS;
    int32_t *bins = some + COUNTED_ROWS;
    for (int64_t start = 0; start < count && band_count > 0; start += COUNTED_ROWS) {
        int64_t rows_left = count - start;
        if (rows_left > COUNTED_ROWS)
            rows_left = COUNTED_ROWS;
        find_bins(rows + start * stride, rows_left, stride, bands, band_count, scale, shift, most,
                  bins);
        int64_t selected = select_rows(keep + start, keep + start, rows_left, all);
        int64_t rares = select_rows(keep + start, rare + start, rows_left, some);
        for (int64_t first = 0; first < band_count; first += GROUP) {
            const int32_t *from = bins + first * COUNTED_ROWS;
            int64_t left = band_count - first;
            if (left >= GROUP)
                count_bins(from, all, selected, GROUP, size, whole + first * size);
            else
                count_bins(from, all, selected, left, size, whole + first * size);
            if (left > GROUP)
                left = GROUP;
            count_bins(from, some, rares, left, size, part + first * size);
        }
    }
}
