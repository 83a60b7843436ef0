#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
# journal.pl: appends records of 4096 bytes to a file for ever, and says `kept N!` when the kernel has told that record N
# is on the disk. Beside it, files come, change their names and go. test_root cuts the power in between, and looks.
use strict;
use warnings;
use Fcntl;
use IO::Handle;

my ($file, $size) = ('/var/journal.data', 4096);
STDOUT->autoflush(1);
sysopen(my $journal, $file, O_RDWR | O_CREAT) or die "$file: $!";
my $n = int((-s $journal) / $size);     # a record that the cut left half is written again
sysseek($journal, $n * $size, 0);

sub churn {
    my ($i) = @_;
    my $dir = "/var/churn/" . $i % 7;
    mkdir '/var/churn';
    mkdir $dir;
    open(my $out, '>', "$dir/new") or die "$dir/new: $!";
    print $out 'x' x (1 + $i * 977 % 70000);
    close $out;
    rename "$dir/new", "$dir/" . $i % 11;
    link "$dir/" . $i % 11, "$dir/link" . $i % 5;
    unlink "$dir/" . ($i + 3) % 11, "$dir/link" . ($i + 2) % 5;
}

while (1) {
    $n++;
    my $record = sprintf('%010d', $n) . chr(97 + $n % 26) x ($size - 11) . "\n";
    syswrite($journal, $record, $size) == $size or die "write: $!";
    $journal->sync or die "fsync: $!";
    print "kept $n!\n";
    churn($n);
}
