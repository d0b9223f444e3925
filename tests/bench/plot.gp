# SPDX-License-Identifier: Apache-2.0
# gnuplot: data (plot.tsv of summary.awk), image and rounds come with -e.
# Peers pale, weir (the last three) strong.
set linetype 1 lc rgb "#d9d9d9"
set linetype 2 lc rgb "#a6a6a6"
set linetype 3 lc rgb "#c7b299"
set linetype 4 lc rgb "#f2c14e"
set linetype 5 lc rgb "#f78154"
set linetype 6 lc rgb "#8fc9a0"
set linetype 7 lc rgb "#d8a7d8"
set linetype 8 lc rgb "#4d4d4d"
set linetype 9 lc rgb "#7fb2f0"
set linetype 10 lc rgb "#2f6fd0"
set linetype 11 lc rgb "#0b2e6b"
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
