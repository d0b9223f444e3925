# SPDX-License-Identifier: Apache-2.0
# gnuplot: data (plot.tsv of summary.awk), image and rounds come with -e.
set terminal svg size 1200,560 background rgb "white"
set output image
set datafile separator "\t"
set datafile missing "-"
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.85
set boxwidth 0.9
set grid ytics
set yrange [0:*]
set ylabel "requests per second, ratio to routed"
set title sprintf("everything on one core, medians of %d interleaved rounds", rounds)
set key outside right top
stats data using 2 skip 1 nooutput
plot for [i = 2:STATS_columns] data using i:xtic(1) title columnheader(i)
