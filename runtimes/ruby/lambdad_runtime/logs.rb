# frozen_string_literal: true

module LambdadRuntime
  # Standard output: one event per line; \r inside it stands for a line break.
  class StandardSink
    def write(message)
      $stdout.write(message.chomp("\n").gsub("\n", "\r"), "\n")
    end
  end

  # Events as type (4 bytes), length (4), microseconds since the epoch (8), text; big-endian.
  class FramedSink
    TYPE = 0xa55a0003

    def initialize(descriptor)
      @io = IO.new(descriptor, 'wb', autoclose: false)
      @io.sync = true
    end

    def write(message)
      stamp = Process.clock_gettime(Process::CLOCK_REALTIME, :microsecond)
      @io.write([TYPE, message.bytesize, stamp].pack('L>L>Q>') << message.b)
    end
  end

  # Where `puts` and loggers on standard output or error write.
  module Logs
    LEVELS = { 'TRACE' => 0, 'DEBUG' => 0, 'INFO' => 1, 'WARN' => 2, 'ERROR' => 3, 'FATAL' => 4 }.freeze

    class << self
      attr_reader :sink

      def set_up
        $stdout.sync = true
        descriptor = ENV.delete('_LAMBDA_TELEMETRY_LOG_FD')
        @sink = descriptor ? FramedSink.new(Integer(descriptor)) : StandardSink.new
        @output = $stdout
        Kernel.module_eval do
          def puts(*values)
            return $stdout.puts(*values) unless Logs.plain_output?

            Logs.sink.write(Logs.lines_of(values))
            nil
          end
        end
      end

      # False when the function has put something else in the place of standard output.
      def plain_output?
        $stdout.equal?(@output)
      end

      def lines_of(values)
        text = values.flatten.map { |value| value.to_s.encode(Encoding::UTF_8, invalid: :replace, undef: :replace) }.join("\n")
        text.end_with?("\n") ? text : "#{text}\n"
      end

      def json?
        ENV['AWS_LAMBDA_LOG_FORMAT']&.upcase == 'JSON'
      end

      # Makes loggers on standard output and error write the runtime's events. `Logger` has just been loaded.
      def patch_logger
        require_relative 'log_formatters'
        ::Logger.prepend(LoggerPatch)
      end

      def error(message, report)
        if json?
          sink.write(JSON.generate({ timestamp: Process.clock_gettime(Process::CLOCK_REALTIME).then { |now| Time.at(now).utc }
            .strftime('%Y-%m-%dT%H:%M:%S.%6NZ'), level: 'ERROR', message: message, **report.body,
            requestId: $_global_aws_request_id }.compact) + "\n")
        else
          sink.write("#{message}\n")
          sink.write("#{JSON.pretty_generate(report.body)}\n")
        end
      end
    end
  end
end

LambdadRuntime.private_constant :StandardSink, :FramedSink
