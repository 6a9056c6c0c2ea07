# frozen_string_literal: true

require 'json'

module LambdadRuntime
  RUNTIME_DIRECTORY = "#{File.dirname(File.realpath(__dir__))}/"
end

require_relative 'client'
require_relative 'context'
require_relative 'errors'
require_relative 'loading'
require_relative 'logs'

module AwsLambda
  # How events and results are translated; functions may replace either method, as on AWS.
  class Marshaller
    class << self
      # `raw_request['Content-Type']` and `raw_request.body`.
      def marshall_request(raw_request)
        raw_request['Content-Type'] == 'application/json' ? JSON.parse(raw_request.body) : raw_request.body
      end

      # JSON text, or [IO, content type] for what is to be sent as it is.
      def marshall_response(response)
        io = (defined?(StringIO.new) && response.is_a?(StringIO)) || response.is_a?(IO)
        io ? [response, 'application/unknown'] : response.to_json
      end
    end
  end
end

# The managed Ruby runtime: loads the handler, then serves invocations until the process ends.
module LambdadRuntime
  EXIT_INIT_ERROR = -4
  EXIT_CRITICAL_ERROR = -1
  REQUEST_TOO_LARGE = 413

  # An event as it came.
  RawRequest = Struct.new(:headers, :body) do
    def [](name)
      headers[name.downcase]
    end
  end

  # The method that a handler name, FILE.METHOD or FILE.CLASS.METHOD, stands for.
  class Handler
    attr_reader :file

    def initialize(name)
      @file, *@owner, @method = name.split('.')
      return if @method && @owner.size < 2

      raise ArgumentError, "Invalid handler #{name.split('.')}, must be of form FILENAME.METHOD or FILENAME.CLASS.METHOD where " \
                           'FILENAME corresponds with an existing Ruby source file FILENAME.rb, CLASS is an optional module/class ' \
                           'namespace and METHOD is a callable method. If using CLASS, METHOD must be a class-level method.'
    end

    def call(event, context)
      receiver = @owner.empty? ? TOPLEVEL_BINDING.receiver : Kernel.const_get(@owner[0])
      receiver.__send__(@method, event: event, context: context)
    end
  end

  class << self
    # Ends with SystemExit.
    def run
      Logs.set_up
      Loading.set_up
      root = ENV.fetch('LAMBDA_TASK_ROOT', '/var/task')
      $LOAD_PATH.unshift(root) unless $LOAD_PATH.include?(root)
      @client = Client.new(ENV.fetch('AWS_LAMBDA_RUNTIME_API'))
      begin
        @handler = Handler.new(ENV.fetch('_HANDLER'))
        require @handler.file
      rescue Exception => e # rubocop:disable Lint/RescueException  a module that calls exit has failed to load, too
        report = Report.new(e, 'Init')
        Logs.error('Init error when loading handler', report)
        @client.post_init_error(report.json, report.public_type)
        exit(EXIT_INIT_ERROR)
      end
      loop { serve(*@client.next_invocation) }
    rescue SignalException
      exit(0) # asked to end while no code of the function runs
    end

    private

    def serve(headers, body)
      $_global_aws_request_id = request_id = headers['lambda-runtime-aws-request-id']
      trace_id = headers['lambda-runtime-trace-id']
      ENV['_X_AMZN_TRACE_ID'] = trace_id if ENV['_X_AMZN_TRACE_ID'] != trace_id
      begin
        response, content_type = run_handler(headers, body)
      rescue Exception => e # rubocop:disable Lint/RescueException  exit, a stack overflow and the like are reported, too
        fail_with(request_id, e)
      else
        answer(request_id, response, content_type)
      end
    end

    def run_handler(headers, body)
      event = AwsLambda::Marshaller.marshall_request(RawRequest.new(headers, body))
      response, content_type = AwsLambda::Marshaller.marshall_response(@handler.call(event, LambdaContext.new(headers)))
      response = response.read if content_type == 'application/unknown'
      [response, content_type || 'application/json']
    end

    def answer(request_id, response, content_type)
      @client.post_response(request_id, response, content_type)
    rescue ApiError => e
      raise unless e.status == REQUEST_TOO_LARGE # the platform has told the caller; the environment lives on
    end

    # After an error that a handler does not raise on purpose the process ends: what is left of it cannot be trusted.
    def fail_with(request_id, error)
      critical = !error.is_a?(StandardError) || error.is_a?(NameError)
      report = Report.new(error, 'Function')
      Logs.error(critical ? 'Critical exception from handler' : 'Error raised from handler method', report)
      @client.post_error(request_id, report.json, report.public_type, report.xray_cause, !critical)
      exit(EXIT_CRITICAL_ERROR) if critical
    end
  end
end
