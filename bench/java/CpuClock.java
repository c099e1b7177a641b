// CPU time of all threads of this process, collector and compiler included, to the microsecond.
//
// The JVM's own bean counts ticks of 10 ms, too coarse here; so libc's clock() is asked. The foreign function
// interface is reached by reflection because it is younger than the class files, which any javac from 17 on makes.

import java.lang.invoke.MethodHandle;
import java.lang.reflect.Array;
import java.util.Optional;

final class CpuClock {
  private static final int NS_PER_TICK = 1000; // POSIX: a million ticks a second

  private final MethodHandle clock;

  CpuClock() {
    clock = find();
    ns(); // the first call is slow
  }

  long ns() {
    try {
      return (long)clock.invoke() * NS_PER_TICK;
    } catch (Throwable e) {
      throw new IllegalStateException("clock() cannot be called", e);
    }
  }

  /// Linker.nativeLinker().downcallHandle(defaultLookup().find("clock"), FunctionDescriptor.of(JAVA_LONG))
  private static MethodHandle find() {
    try {
      Class<?> linkerType = foreign("Linker"), layoutType = foreign("MemoryLayout");
      Class<?> descriptorType = foreign("FunctionDescriptor");
      Object linker = linkerType.getMethod("nativeLinker").invoke(null);
      Object lookup = linkerType.getMethod("defaultLookup").invoke(linker);
      Object symbol =
          ((Optional<?>)foreign("SymbolLookup").getMethod("find", String.class).invoke(lookup, "clock")).get();
      Object layoutOfLong = foreign("ValueLayout").getField("JAVA_LONG").get(null);
      Object noLayouts = Array.newInstance(layoutType, 0), noOptions = Array.newInstance(foreign("Linker$Option"), 0);
      Object descriptor =
          descriptorType.getMethod("of", layoutType, noLayouts.getClass()).invoke(null, layoutOfLong, noLayouts);
      return (MethodHandle)linkerType
          .getMethod("downcallHandle", foreign("MemorySegment"), descriptorType, noOptions.getClass())
          .invoke(linker, symbol, descriptor, noOptions);
    } catch (ReflectiveOperationException e) {
      Measure.fail("this Java has no foreign functions; 22 or newer is needed");
      throw new IllegalStateException(e);
    }
  }

  private static Class<?> foreign(String name) throws ClassNotFoundException {
    return Class.forName("java.lang.foreign." + name);
  }
}
