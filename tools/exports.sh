#!/bin/sh
# The linker's list of what libtricolor.so exports: every function and variable the public headers declare.
cd "$(dirname "$0")/../CRuntime/include" || exit 1
echo '{ global:'
cat tricolor.h tricolor_api.h tricolor_fast.h tricolor_types.h |
  grep -v '^ *//' | grep -v 'TRI_ALWAYS_INLINE' |
  grep -oE '\btri_[a-z0-9_]+ *\(' | grep -oE 'tri_[a-z0-9_]+' | sort -u | sed 's/$/;/; s/^/  /'
echo '  tri_size_class_table;'
echo '  tri_thread_mutator_current;'
echo 'local: *; };'
