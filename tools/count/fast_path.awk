# Reads `objdump -dr --no-show-raw-insn` of an object file and finds the function whose symbol contains `wanted`.
# Prints two numbers: the instructions of the longest way from its entry to a return that makes no call (0: there is
# none), and the places where the function calls or jumps to code that is not its own.

# A symbol begins a function: "0000000000000000 <name>:".
/^[0-9a-f]+ <.*>:$/ {
  inside = 0
  if (!found && match($2, "^<[^>.]*" wanted "[^.]*>:$")) inside = found = 1
  next
}
!inside { next }
# A relocation belongs to the instruction before it; on a call or jump it names code elsewhere.
/R_X86_64_/ {
  if (operation[count] ~ /^(call|j)/) elsewhere[count] = 1
  next
}
/^ *[0-9a-f]+:\t/ {
  sub(/:.*/, "", $1)
  count++
  address[count] = $1
  at[$1] = count
  operation[count] = $2
  target[count] = $3
}

function leaves(i) { return elsewhere[i] || !(target[i] in at) }

# The longest way from instruction i to a return, or -1. A way does not take a loop twice.
function longest(i,    rest, other) {
  if (i > count || on_way[i]) return -1
  if (operation[i] ~ /^ret/) return 1
  if (operation[i] ~ /^(call|ud2|hlt)/) return -1
  on_way[i] = 1
  rest = other = -1
  if (operation[i] !~ /^jmp/) rest = longest(i + 1)
  if (operation[i] ~ /^j/ && !leaves(i)) other = longest(at[target[i]])
  on_way[i] = 0
  if (other > rest) rest = other
  return rest < 0 ? -1 : rest + 1
}

END {
  if (!count) exit 1
  for (i = 1; i <= count; i++) if (operation[i] ~ /^call/ || (operation[i] ~ /^j/ && leaves(i))) calls++
  way = longest(1)
  print (way < 0 ? 0 : way), calls + 0
}
