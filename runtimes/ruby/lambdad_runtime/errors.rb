# frozen_string_literal: true

module LambdadRuntime
  # What the platform learns of an exception. `classification` says whose failure it is: Function, Init or Runtime.
  class Report
    FRAMES_MAX = 100
    XRAY_FRAMES_MAX = 15
    XRAY_CAUSE_BYTES_MAX = 1024 * 1024
    # Names that may appear in the header; others could carry what the function knows.
    PUBLIC_NAMES = %w[
      ArgumentError NoMethodError Exception StandardError NameError LoadError SystemExit SystemStackError
    ].freeze

    attr_reader :body

    def initialize(error, classification)
      name = error.class.to_s
      @type = "#{classification}<#{name}>"
      @public = PUBLIC_NAMES.include?(name)
      @frames = (error.backtrace_locations || []).reject { |frame| frame.path&.start_with?(RUNTIME_DIRECTORY) }
      @frames = @frames.first(FRAMES_MAX)
      @body = { errorMessage: text_of(error.message), errorType: @type, stackTrace: @frames.map { |frame| text_of(frame.to_s) } }
    end

    def json
      JSON.generate(@body)
    end

    # Of the header Lambda-Runtime-Function-Error-Type.
    def public_type
      @public ? @type : 'Function<UserException>'
    end

    # nil when it would be too large.
    def xray_cause
      stack = @frames.first(XRAY_FRAMES_MAX).map { |frame| { path: frame.path, line: frame.lineno, label: frame.label } }
      exception = { message: @body[:errorMessage], type: @type, stack: stack }
      cause = JSON.generate({ working_directory: Dir.pwd, paths: $LOAD_PATH, exceptions: [exception] }, ascii_only: true)
      cause if cause.bytesize < XRAY_CAUSE_BYTES_MAX
    end

    private

    def text_of(value)
      value.to_s.encode(Encoding::UTF_8, invalid: :replace, undef: :replace)
    end
  end
end
