# What perl does when its bench trace is recorded: hashes of lists, regular expressions, sort, sprintf, split
# and join, objects. Deterministic: its own random numbers, and PERL_HASH_SEED=0 from record_all.sh.
use strict;
use warnings;

my $state = 20150314;
sub random_below { $state = ($state * 1103515245 + 12345) % 2147483648; return ($state >> 12) % $_[0] }

my @words = qw(arena page span slot mark sweep grey black white root barrier cycle);
my (@lines, %places, %pairs);
for my $number (1 .. 9000) {
  my @chosen = map { $words[random_below(scalar @words)] . random_below(400) } 1 .. 3 + random_below(9);
  push @lines, sprintf("%05d %s", $number, join(" ", @chosen));
}
for my $line (@lines) {
  my ($number, @rest) = split / /, $line;
  push @{$places{$_}}, $number for @rest;
  $pairs{"$1 $2"}++ while $line =~ /([a-z]+)\d+ (?=([a-z]+))/g;
}

package Account;
sub new { my ($class, %fields) = @_; return bless {%fields, history => []}, $class }
sub deposit {
  my ($self, $amount) = @_;
  push @{$self->{history}}, {amount => $amount, at => scalar @{$self->{history}}};
}
sub balance { my $sum = 0; $sum += $_->{amount} for @{$_[0]{history}}; return $sum }

package main;
my @accounts = map { Account->new(name => "account $_", limit => random_below(1000)) } 1 .. 1500;
$accounts[random_below(scalar @accounts)]->deposit(random_below(500)) for 1 .. 20000;
my @rich = (sort { $b->balance <=> $a->balance || $a->{name} cmp $b->{name} } @accounts)[0 .. 9];
(my $text = join("\n", @lines)) =~ s/(\w+?)(\d+)/\U$1\E-$2/g;
print scalar(keys %places), " ", scalar(keys %pairs), " ", $rich[0]->balance, " ", length($text), "\n";
