/* All that the scores of a background follow from, from the sums of products of shifted rows. */

/* In sums.c, where products and sums are contracted. */
EXPORT int64_t EXPORTED(whiten)(const double *covariance, int64_t size, const uint8_t *used,
                                double eps, double shrinkage, double tolerance, double *matrix,
                                double *factor, double *whitening, double *spectrum, double *work);
EXPORT int64_t EXPORTED(whitening_work)(int64_t size);

/* Numbers of working memory, for a number of bands. */
EXPORT int64_t EXPORTED(background_work)(int64_t bands)
{
    return EXPORTED(whitening_work)(bands) + bands * bands + bands + 2;
}

/* Mean and covariance, and what `whiten` makes of the bands that vary; its rank, or -1.
 *
 * products, shift, count: as those of scatter.
 * constant: a band varies if its standard deviation, over its mean, is above this.
 * mean, covariance: of each band, and of each two; the latter divided by count - 1, or by 1.
 * varying: a byte a band; varying_count: how many bands vary.
 * eigenvalues: the smallest and the largest supported one, then the smallest without shrinkage.
 */
EXPORT int64_t EXPORTED(background)(const double *products, int64_t bands, const double *shift,
                                    double count, double constant, double eps, double shrinkage,
                                    double tolerance, double *mean, double *covariance,
                                    uint8_t *varying, int64_t *varying_count, double *matrix,
                                    double *factor, double *whitening, double *eigenvalues,
                                    double *work)
{
    double divisor = count > 2 ? count - 1 : 1;
    EXPORTED(scatter)(products, bands, shift, count, mean, covariance);
    for (int64_t i = 0; i < bands * bands; i++)
        covariance[i] /= divisor;
    *varying_count = 0;
    for (int64_t band = 0; band < bands; band++) {
        double deviation = constant * mean[band];
        varying[band] = covariance[band * bands + band] > deviation * deviation;
        *varying_count += varying[band];
    }
    int64_t rank = EXPORTED(whiten)(covariance, bands, varying, eps, shrinkage, tolerance, matrix,
                                    factor, whitening, eigenvalues, work);
    eigenvalues[2] = eigenvalues[0];
    if (rank < 0 || shrinkage == 0)
        return rank;
    double *other_matrix = work + EXPORTED(whitening_work)(bands);
    double *other_factor = other_matrix + bands * bands;
    double *spectrum = other_factor + bands;
    if (EXPORTED(whiten)(covariance, bands, varying, eps, 0, tolerance, other_matrix, other_factor,
                         NULL, spectrum, work) < 0)
        return -1;
    eigenvalues[2] = spectrum[0];
    return rank;
}
