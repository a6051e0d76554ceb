/* From a covariance to the whitening matrix of its correlation matrix, and the spectrum of that.
 *
 * Matrices are symmetric or triangular, of size x size numbers, row by row.
 */
#include <math.h>

/* So many numbers are tried together where an eigenvalue is searched. */
enum { PROBES = 8 };

/* The correlation matrix of the bands that are used, with unit diagonal; whether it is finite.
 *
 * The covariance is regularised by eps^2 of each variance, and by shrinkage of the mean variance.
 * factor: 1 / sqrt(variance); zero, as rows and columns are, where a band is not used.
 */
static int correlate(const double *covariance, int64_t size, const uint8_t *used, double eps,
                     double shrinkage, double *matrix, double *factor)
{
    double total = 0;
    int64_t count = 0;
    for (int64_t i = 0; i < size; i++) {
        total += used[i] ? covariance[i * size + i] : 0;
        count += used[i] != 0;
    }
    double ridge = shrinkage * total / (double)(count ? count : 1);
    for (int64_t i = 0; i < size; i++) {
        double variance = covariance[i * size + i];
        factor[i] = used[i] ? 1 / sqrt(variance + (eps * eps * variance + ridge)) : 0;
    }
    int is_finite = 1;
    for (int64_t i = 0; i < size; i++) {
        double *row = matrix + i * size;
        for (int64_t j = 0; j < size; j++)
            row[j] = covariance[i * size + j] * factor[i] * factor[j];
        row[i] = used[i] ? 1 : 0;
        is_finite &= all_finite(row, size);
    }
    return is_finite;
}

/* Add weight * row to another row, from one column up to another one. */
INLINE void add_row(const double *restrict row, double weight, int64_t start, int64_t end,
                    double *restrict to)
{
    for (int64_t j = start; j < end; j++)
        to[j] += weight * row[j];
}

/* Add two weighted rows to another row. */
INLINE void add_rows(const double *restrict first, double first_weight,
                     const double *restrict second, double second_weight, int64_t start,
                     int64_t end, double *restrict to)
{
    for (int64_t j = start; j < end; j++)
        to[j] += first_weight * first[j] + second_weight * second[j];
}

/* Overwrite a symmetric matrix by Householder reflections; what is left is tridiagonal.
 *
 * diagonal: size numbers; squares: those of the size - 1 numbers next to it; work: 2 * size.
 * Source: G. H. Golub, C. F. Van Loan, Matrix Computations, 2013, algorithm 8.3.1.
 */
static void tridiagonalise(double *matrix, int64_t size, double *diagonal, double *squares,
                           double *work)
{
    double *axis = work;
    double *change = work + size;
    for (int64_t k = 0; k + 1 < size; k++) {
        double *row = matrix + k * size;
        double norm = 0;
        for (int64_t j = k + 1; j < size; j++)
            norm += row[j] * row[j];
        diagonal[k] = row[k];
        squares[k] = norm;
        double first = row[k + 1];
        double length = sqrt(norm);
        double head = first + (first < 0 ? -length : length);
        double half = (norm + fabs(first) * length);
        if (k + 2 == size || !(half > 0))
            continue;
        for (int64_t j = k + 1; j < size; j++)
            axis[j] = row[j];
        axis[k + 1] = head;
        /* With H = I - v v^T / half: A - v w^T - w v^T. */
        for (int64_t j = k + 1; j < size; j++)
            change[j] = 0;
        for (int64_t i = k + 1; i < size; i++)
            add_row(matrix + i * size, axis[i] / half, k + 1, size, change);
        double inner = 0;
        for (int64_t i = k + 1; i < size; i++)
            inner += change[i] * axis[i];
        inner /= 2 * half;
        for (int64_t i = k + 1; i < size; i++)
            change[i] -= inner * axis[i];
        for (int64_t i = k + 1; i < size; i++)
            add_rows(change, -axis[i], axis, -change[i], k + 1, size, matrix + i * size);
    }
    if (size)
        diagonal[size - 1] = matrix[size * size - 1];
}

/* How many eigenvalues of a tridiagonal matrix are below each of PROBES numbers. */
static void count_below(const double *diagonal, const double *squares, int64_t size,
                        double smallest_pivot, const double *probes, int64_t *counts)
{
    double pivots[PROBES];
    for (int p = 0; p < PROBES; p++) {
        pivots[p] = 1;
        counts[p] = 0;
    }
    for (int64_t i = 0; i < size; i++) {
        double square = i ? squares[i - 1] : 0;
        for (int p = 0; p < PROBES; p++) {
            double pivot = diagonal[i] - probes[p] - square / pivots[p];
            pivots[p] = fabs(pivot) < smallest_pivot ? -smallest_pivot : pivot;
            counts[p] += pivots[p] < 0;
        }
    }
}

/* The eigenvalue of a number, 0 for the smallest, between two bounds. */
static double eigenvalue(const double *diagonal, const double *squares, int64_t size,
                         double smallest_pivot, int64_t number, double low, double high)
{
    for (;;) {
        double probes[PROBES];
        int64_t counts[PROBES];
        double step = (high - low) / (PROBES + 1);
        for (int p = 0; p < PROBES; p++)
            probes[p] = low + step * (p + 1);
        if (!(probes[0] > low) || !(probes[PROBES - 1] < high))
            return low + (high - low) / 2;
        count_below(diagonal, squares, size, smallest_pivot, probes, counts);
        int first = 0;
        while (first < PROBES && counts[first] <= number)
            first++;
        if (first < PROBES)
            high = probes[first];
        if (first > 0)
            low = probes[first - 1];
    }
}

/* The upper triangular W with W W^T the inverse of a positive definite matrix; whether it is one.
 *
 * Rows of W are multiplied by factor. Overwrites the matrix; work: (size, size).
 */
static int invert_root(double *matrix, int64_t size, const double *factor, double *whitening,
                       double *work)
{
    for (int64_t k = 0; k < size; k++) {
        double *row = matrix + k * size;
        if (!(row[k] > 0))
            return 0;
        double scale = 1 / sqrt(row[k]);
        for (int64_t j = k; j < size; j++)
            row[j] *= scale;
        for (int64_t i = k + 1; i < size; i++)
            add_row(row, -row[i], i, size, matrix + i * size);
    }
    for (int64_t i = 0; i < size; i++) {
        double *inverse = work + i * size;
        memset(inverse, 0, sizeof(double) * (size_t)size);
        inverse[i] = 1;
        for (int64_t k = 0; k < i; k++)
            add_row(work + k * size, -matrix[k * size + i], 0, k + 1, inverse);
        double scale = 1 / matrix[i * size + i];
        for (int64_t j = 0; j <= i; j++)
            inverse[j] *= scale;
    }
    for (int64_t i = 0; i < size; i++)
        for (int64_t j = 0; j < size; j++)
            whitening[i * size + j] = work[j * size + i] * factor[i];
    return 1;
}

/* Numbers of working memory, for a number of bands. */
EXPORT int64_t EXPORTED(whitening_work)(int64_t size)
{
    return 2 * size * size + 4 * size + 1;
}

/* The supported eigenvalues of a correlation matrix, and its whitening where all are supported.
 *
 * used: a byte a band; those of other bands are no eigenvalues.
 * tolerance: an eigenvalue is supported if it is above this, over the largest one.
 * matrix, factor: the correlation matrix, and what the covariance was scaled by.
 * whitening: written where the rank is the number of bands that are used.
 * spectrum: the smallest and the largest supported eigenvalue; 1 without a band.
 * Returns the rank; -1 where numbers are not finite, or the matrix is not positive definite.
 */
EXPORT int64_t EXPORTED(whiten)(const double *covariance, int64_t size, const uint8_t *used,
                                double eps, double shrinkage, double tolerance, double *matrix,
                                double *factor, double *whitening, double *spectrum, double *work)
{
    double *other = work;
    double *third = other + size * size;
    double *diagonal = third + size * size;
    double *squares = diagonal + size;
    if (!correlate(covariance, size, used, eps, shrinkage, matrix, factor))
        return -1;
    int64_t count = 0;
    for (int64_t i = 0; i < size; i++) {
        if (!used[i])
            continue;
        int64_t place = 0;
        for (int64_t j = 0; j < size; j++)
            if (used[j])
                third[count * size + place++] = matrix[i * size + j];
        count++;
    }
    spectrum[0] = 1;
    spectrum[1] = 1;
    for (int64_t i = 0; i < count; i++)
        memmove(other + i * count, third + i * size, sizeof(double) * (size_t)count);
    tridiagonalise(other, count, diagonal, squares, squares + size);
    int64_t rank = count;
    if (count) {
        /* Unit diagonal: no eigenvalue is above the number of bands, nor below minus that. */
        double bound = (double)count + 1;
        double pivot = 1e-290;
        double largest = eigenvalue(diagonal, squares, count, pivot, count - 1, 0, bound);
        double limits[PROBES];
        int64_t below[PROBES];
        for (int p = 0; p < PROBES; p++)
            limits[p] = tolerance * largest;
        count_below(diagonal, squares, count, pivot, limits, below);
        rank = count - below[0];
        spectrum[0] = eigenvalue(diagonal, squares, count, pivot, below[0], limits[0], largest);
        spectrum[1] = largest;
    }
    if (rank < count || !whitening)
        return rank;
    memcpy(other, matrix, sizeof(double) * (size_t)(size * size));
    for (int64_t i = 0; i < size; i++)
        other[i * size + i] = 1;
    return invert_root(other, size, factor, whitening, third) ? rank : -1;
}
