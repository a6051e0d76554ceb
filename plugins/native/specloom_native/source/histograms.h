/* Fine histograms of bands, of all rows and of those of one class, in one sweep.
 *
 * Bins have one width: bin 0 is below the first cut. The whole number next to value * scale is
 * read from the last bits of 2^23 + value * scale, where float32 has no others. The bins of some
 * thousand rows are written band by band, so that the table that a band is counted in stays in
 * the first cache.
 */
enum { COUNTED_ROWS = 16384, COLUMN = COUNTED_ROWS + 96, GROUP = 16, ROWS_ABREAST = 4, AHEAD = 16 };

/* The bits of a float32 that holds the whole number 2^23. */
#define WHOLE_BITS 0x4B000000

/* The bits of 2^23 plus the bin of a value: as whole numbers they are in the order of floats. */
INLINE int32_t bin_bits(float value, float scale, float shift, int32_t most)
{
    float product = value * scale;
    float sum = product + shift;
    int32_t bits;
    memcpy(&bits, &sum, sizeof(bits));
    int32_t above = bits > WHOLE_BITS ? bits : WHOLE_BITS;
    return above < most ? above : most;
}

/* Memory for ROWS_ABREAST rows of `width` bands. */
typedef struct {
    int64_t width;
    float *values;
    uint32_t *bits;
    uint64_t *abreast;
} tile;

/* Write the bits of one row of a tile. */
INLINE void find_bits(const float *restrict values, int64_t width, const float *restrict scale,
                      const float *restrict shift, int32_t most, uint32_t *restrict bits)
{
    for (int64_t i = 0; i < width; i++)
        bits[i] = (uint32_t)bin_bits(values[i], scale[i], shift[i], most);
}

/* Write the bins of ROWS_ABREAST rows side by side. */
INLINE void join_bins(const uint32_t *restrict bits, int64_t width, uint64_t *restrict abreast)
{
    for (int64_t i = 0; i < width; i++) {
        uint32_t first = (bits[i] & 0xFFFF) | bits[width + i] << 16;
        uint32_t second = (bits[2 * width + i] & 0xFFFF) | bits[3 * width + i] << 16;
        abreast[i] = first | (uint64_t)second << 32;
    }
}

/* Write the numbers of the selected rows, and which of these are of the class; how many. */
static int64_t select_rows(const uint8_t *keep, const uint8_t *rare, int64_t count,
                           int32_t *restrict all, int32_t *restrict some, int64_t *rares)
{
    int64_t selected = 0;
    int64_t found = 0;
    for (int64_t row = 0; row < count; row++) {
        all[selected] = (int32_t)row;
        some[found] = (int32_t)selected;
        selected += keep[row] != 0;
        found += keep[row] && rare[row];
    }
    *rares = found;
    return selected;
}

/* The values of the bands of a row, `width` of them side by side; those behind the bands are any.
 *
 * They are copied where bands lie apart, or where there are none behind the row: `readable` is the
 * number of values from the row on that may be read.
 */
INLINE const float *band_values(const float *row, int64_t readable, const int64_t *bands,
                                int64_t band_count, int64_t width, float *copy)
{
    int adjacent = bands[band_count - 1] - bands[0] == band_count - 1;
    if (adjacent && bands[0] + width <= readable)
        return row + bands[0];
    for (int64_t i = 0; i < band_count; i++)
        copy[i] = row[bands[i]];
    return copy;
}

/* Write the bins of the selected ones of `row_count` rows, column by column. */
static void find_columns(const float *rows, int64_t row_count, int64_t stride,
                         const int32_t *numbers, int64_t count, const int64_t *bands,
                         int64_t band_count, const float *scale, const float *shift, int32_t most,
                         tile work, uint16_t *columns)
{
    int64_t readable = (row_count - 1) * stride + bands[band_count - 1] + 1;
    for (int64_t start = 0; start < count; start += ROWS_ABREAST) {
        for (int64_t k = 0; k < ROWS_ABREAST; k++) {
            /* Behind the last row it is taken again; what it gives is not counted. */
            if (start + k + AHEAD < count)
                fetch(rows + numbers[start + k + AHEAD] * stride + bands[0],
                      work.width * (int64_t)sizeof(float));
            int64_t offset = numbers[start + k < count ? start + k : count - 1] * stride;
            const float *values = band_values(rows + offset, readable - offset, bands, band_count,
                                              work.width, work.values);
            find_bits(values, work.width, scale, shift, most, work.bits + k * work.width);
        }
        join_bins(work.bits, work.width, work.abreast);
        for (int64_t i = 0; i < band_count; i++)
            memcpy(columns + i * COLUMN + start, work.abreast + i, sizeof(uint64_t));
    }
}

/* Add the counts of one column to a histogram. */
static void count_column(const uint16_t *restrict column, int64_t count, int64_t size,
                         uint16_t *restrict table, int32_t *restrict histogram)
{
    memset(table, 0, sizeof(uint16_t) * (size_t)size);
    for (int64_t row = 0; row < count; row++)
        table[column[row]]++;
    for (int64_t bin = 0; bin < size; bin++)
        histogram[bin] += table[bin];
}

/* The same of some of its rows. */
static void count_some(const uint16_t *restrict column, const int32_t *restrict numbers,
                       int64_t count, int32_t *restrict histogram)
{
    for (int64_t i = 0; i < count; i++)
        histogram[column[numbers[i]]]++;
}

/* The bands that are computed, for a number of bands: those behind them are not counted. */
EXPORT int64_t EXPORTED(histograms_width)(int64_t band_count)
{
    return padded(band_count, GROUP);
}

/* Bytes of working memory, for a number of bands and of bins. */
EXPORT int64_t EXPORTED(histograms_work)(int64_t band_count, int64_t size)
{
    int64_t width = EXPORTED(histograms_width)(band_count);
    int64_t abreast = width * (int64_t)sizeof(uint64_t);
    int64_t bits = (1 + ROWS_ABREAST) * width * (int64_t)sizeof(uint32_t);
    int64_t numbers = 2 * COUNTED_ROWS * (int64_t)sizeof(int32_t);
    int64_t columns = (band_count * COLUMN + size) * (int64_t)sizeof(uint16_t);
    return abreast + bits + numbers + columns;
}

/* Add rows to the histograms of all and of one class.
 *
 * rows: count rows, stride values apart, of finite values where they are selected.
 * keep: a byte a row, which selects rows; rare: a byte a row, which selects those of the class.
 * bands: the numbers of the bands, rising; scale, shift: of histograms_width bands.
 * size: the bins of a histogram, at most 2^16; whole, part: (band_count, size).
 */
EXPORT void EXPORTED(histograms)(const float *rows, int64_t count, int64_t stride,
                                 const uint8_t *keep, const uint8_t *rare, const int64_t *bands,
                                 int64_t band_count, const float *scale, const float *shift,
                                 int64_t size, int32_t *whole, int32_t *part, void *work)
{
    int32_t most = WHOLE_BITS + (int32_t)(size - 1);
    int64_t width = EXPORTED(histograms_width)(band_count);
    tile rows_abreast = {.width = width, .abreast = work};
    rows_abreast.values = (float *)(rows_abreast.abreast + width);
    rows_abreast.bits = (uint32_t *)(rows_abreast.values + width);
    int32_t *all = (int32_t *)(rows_abreast.bits + ROWS_ABREAST * width);
    int32_t *some = all + COUNTED_ROWS;
    uint16_t *columns = (uint16_t *)(some + COUNTED_ROWS);
    uint16_t *table = columns + band_count * COLUMN;
    memset(rows_abreast.values, 0, sizeof(float) * (size_t)width);
    for (int64_t start = 0; start < count && band_count > 0; start += COUNTED_ROWS) {
        int64_t rows_left = count - start;
        if (rows_left > COUNTED_ROWS)
            rows_left = COUNTED_ROWS;
        int64_t rares = 0;
        int64_t selected = select_rows(keep + start, rare + start, rows_left, all, some, &rares);
        find_columns(rows + start * stride, rows_left, stride, all, selected, bands, band_count, scale, shift,
                     most, rows_abreast, columns);
        for (int64_t i = 0; selected > 0 && i < band_count; i++) {
            count_column(columns + i * COLUMN, selected, size, table, whole + i * size);
            count_some(columns + i * COLUMN, some, rares, part + i * size);
        }
    }
}
