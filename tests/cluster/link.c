/* What a message costs between two ranks: the median time of an exchange both ways, of a short message and of a piece of the chain
 * (harness/src/ranks/chain.rs).
 *     mpicc -O2 tests/cluster/link.c -o link && mpirun -n 2 ./link
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

enum { TRIES = 200, LARGEST = 48 << 10 };

static int order(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    static char out[LARGEST], in[LARGEST];
    static double seconds[TRIES];
    int rank;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    for (int bytes = 64; bytes <= LARGEST; bytes += LARGEST - 64) {
        for (int i = -20; i < TRIES; i++) {
            double start = MPI_Wtime();
            MPI_Sendrecv(out, bytes, MPI_CHAR, 1 - rank, 0, in, bytes, MPI_CHAR, 1 - rank, 0, MPI_COMM_WORLD,
                         MPI_STATUS_IGNORE);
            if (i >= 0)
                seconds[i] = MPI_Wtime() - start;
        }
        qsort(seconds, TRIES, sizeof *seconds, order);
        if (rank == 0)
            printf("%d %.9f\n", bytes, seconds[TRIES / 2]);
    }
    MPI_Finalize();
    return 0;
}
