# Usage: write-in-halves.pl SOURCE TARGET MARK GATE
# Writes the first half of SOURCE to TARGET and has the kernel send it, without asking for a COMMIT: that needs
# sync_file_range(2), which no command offers. When every WRITE is answered it makes the file MARK, waits for the file GATE with
# TARGET open, and writes the other half.
use strict;
use warnings;
use IO::Handle;

# On x86-64, the only architecture that User Mode Linux has.
my $SYS_sync_file_range = 277;
# SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER
my $WRITE_AND_WAIT = 7;

my ($source, $target, $mark, $gate) = @ARGV;
open(my $in, '<:raw', $source) or die "$source: $!";
open(my $out, '>:raw', $target) or die "$target: $!";
my $half = int((-s $in) / 2);

sub copy {
  my ($bytes) = @_;
  while ($bytes > 0) {
    my $read = sysread($in, my $block, $bytes < 1048576 ? $bytes : 1048576);
    die "$source: $!" unless $read;
    my $written = syswrite($out, $block);
    die "$target: $!" unless defined $written && $written == $read;
    $bytes -= $read;
  }
}

copy($half);
syscall($SYS_sync_file_range, fileno($out), 0, 0, $WRITE_AND_WAIT) == 0 or die "sync_file_range: $!";
open(my $marked, '>', $mark) or die "$mark: $!";
close($marked);
select(undef, undef, undef, 0.05) until -e $gate;
copy((-s $in) - $half);
# After a restart of the server, Linux sends again what was lost once it sees another write verifier: fsync waits for that, close
# doesn't.
$out->sync or die "fsync $target: $!";
close($out) or die "$target: $!";
