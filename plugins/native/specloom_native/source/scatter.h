/* Mean and scatter from the sums of products of shifted rows.
 *
 * products: (bands + 1, bands + 1): the upper triangle, and the sums in the last row.
 * mean: of each band; scatter: the sum of (x - mean)(x - mean)^T, (bands, bands).
 */
EXPORT void EXPORTED(scatter)(const double *products, int64_t bands, const double *shift,
                              double count, double *mean, double *scatter)
{
    const double *sums = products + bands * (bands + 1);
    for (int64_t i = 0; i < bands; i++)
        mean[i] = sums[i] / count;
    for (int64_t i = 0; i < bands; i++) {
        for (int64_t j = i; j < bands; j++) {
            /* Zero is added as in the pure engine, which makes no number -0. */
            double value = products[i * (bands + 1) + j] - sums[i] * mean[j] + 0.0;
            scatter[i * bands + j] = value;
            scatter[j * bands + i] = value;
        }
    }
    for (int64_t i = 0; i < bands; i++)
        mean[i] += shift[i];
}
