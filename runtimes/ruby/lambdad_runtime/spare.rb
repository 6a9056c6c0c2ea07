# frozen_string_literal: true

module LambdadRuntime
  # Waiting, with the interpreter and the runtime loaded, to be told which function this process is. What the function can
  # observe is as if the process had been started for it; runtimes/README.md, "Spares", says more. The other end of the control
  # socket is read and written by lambdad only.
  module Spare
    module_function

    # Returns as the function's process; ends the process when lambdad does not want it.
    def become_function(control)
      socket = IO.for_fd(control, 'r+b')
      socket.sync = true
      socket.write('R')
      block = socket.read # until its end
      exit!(0) unless block.end_with?("\0\0")
      socket.close
      take_over(block.byteslice(0..-2))
      Dir.chdir('/var/task') # the function's, which now stands where this process was started
    end

    # Makes the environment that of `block`: NAME=VALUE, each ended by a NUL.
    def take_over(block)
      ENV.clear
      block.split("\0").each do |entry|
        name, value = entry.split('=', 2)
        ENV[name] = value
      end
      # Nothing points into the first environment any more: /proc/self/environ shows the new one.
      first, last = File.read('/proc/self/stat').rpartition(')').last.split.values_at(47, 48).map(&:to_i)
      return if block.bytesize > last - first

      File.open('/proc/self/mem', 'r+b') { |memory| memory.pwrite(block.ljust(last - first, "\0"), first) }
    end
  end
end
