# frozen_string_literal: true

module LambdadRuntime
  # Logger's own line with the request id in it.
  class TextFormatter < ::Logger::Formatter
    def call(severity, time, progname, message)
      line = format('%s, [%s #%d] %5s %s -- %s: %s', severity[0], format_datetime(time), $$, severity,
                    $_global_aws_request_id, progname, msg2str(message))
      "#{line.encode(Encoding::UTF_8, invalid: :replace, undef: :replace)}\n"
    end
  end

  # One JSON object per event.
  class JsonFormatter < ::Logger::Formatter
    def call(severity, time, progname, message)
      event = { timestamp: time.utc.strftime('%Y-%m-%dT%H:%M:%S.%6NZ'), level: severity }
      event[:message] = text_of(message.is_a?(Exception) ? message.message : msg2str(message))
      event[:requestId] = $_global_aws_request_id
      event[:logger] = text_of(progname) unless progname.to_s.empty?
      if message.is_a?(Exception)
        trace = Array(message.backtrace).map { |line| text_of(line) }
        event.update(errorType: message.class.to_s, errorMessage: text_of(message.message), stackTrace: trace)
        event[:location] = location_of(trace.first) if trace.first
      end
      "#{JSON.generate(event.compact)}\n"
    end

    private

    # "/var/task/app.rb:3:in `run'" as file:method:line.
    def location_of(line)
      match = /\A(.+):(\d+):in [`'](.+)'\z/.match(line)
      match ? "#{match[1]}:#{match[3]}:#{match[2]}" : line
    end

    def text_of(value)
      value.to_s.encode(Encoding::UTF_8, invalid: :replace, undef: :replace)
    end
  end

  # Prepended to Logger. A logger on a file or on anything but standard output and error stays as it is; a formatter or level
  # of its own wins.
  module LoggerPatch
    # What Logger writes to instead of a LogDevice; one event per write.
    class Device < ::Logger::LogDevice
      def initialize; end # rubocop:disable Lint/MissingSuper  there is no file

      def write(message)
        Logs.sink.write(message)
      end

      def reopen(_log = nil)
        self
      end

      def close; end
    end

    def initialize(logdev, *rotation, level: nil, formatter: nil, **options)
      if logdev.nil? || logdev.equal?($stdout) || logdev.equal?($stderr)
        level ||= Logs::LEVELS[ENV['AWS_LAMBDA_LOG_LEVEL']&.upcase]
        formatter ||= (Logs.json? ? JsonFormatter : TextFormatter).new
        super(nil, *rotation, level: level || ::Logger::DEBUG, formatter: formatter, **options)
        @logdev = Device.new
      else
        super(logdev, *rotation, level: level || ::Logger::DEBUG, formatter: formatter, **options)
      end
    end
  end
end
