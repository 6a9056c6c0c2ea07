# frozen_string_literal: true

require 'socket.so' # the classes alone; `socket` adds what nobody needs here

module LambdadRuntime
  # The Runtime API refused a request, or its connection broke: the execution environment is over.
  class ApiError < StandardError
    attr_reader :status

    def initialize(message, status = 0)
      super(message)
      @status = status
    end
  end

  # Runtime API client: HTTP/1.1 over one kept-alive connection, no time limit.
  #
  # One write per request; the answer to an invocation and the `next` after it leave together. A request on a kept-alive
  # connection that the server had closed meanwhile is sent again once on a new one. Raises ApiError, or SystemCallError when
  # nobody listens.
  class Client
    API = '/2018-06-01/runtime/'
    RECEIVE_BYTES = 65_536

    class Lost < StandardError; end # closed before the first byte of an answer

    def initialize(address)
      @host, _, @port = address.rpartition(':')
      @host = @host.delete('[]')
      @common = "Host: #{address}\r\nUser-Agent: lambdad-ruby/#{RUBY_VERSION}\r\n"
      @next_request = "GET #{API}invocation/next HTTP/1.1\r\n#{@common}\r\n".b
      @socket = nil
      @buffer = String.new(encoding: Encoding::BINARY)
      @asked_for_next = false # `next` is on its way on the open connection
    end

    # Waits for an invocation. Returns [headers, body]: names in lower case, body as UTF-8 text.
    def next_invocation
      status, headers, body = take_next || exchange(@next_request)
      raise ApiError.new("Received #{status} when waiting for next invocation.", status) if status != 200

      [headers, body.force_encoding(Encoding::UTF_8)]
    end

    # Sends the answer, and asks for the next invocation.
    def post_response(request_id, body, content_type)
      post("invocation/#{request_id}/response", body, "Content-Type: #{content_type}\r\n", @next_request)
    end

    # Sends the error; with `and_next` asks for the next invocation.
    def post_error(request_id, body, error_type, xray_cause, and_next)
      headers = error_headers(error_type)
      headers += "Lambda-Runtime-Function-XRay-Error-Cause: #{printable(xray_cause)}\r\n" if xray_cause
      post("invocation/#{request_id}/error", body, headers, and_next ? @next_request : '')
    end

    def post_init_error(body, error_type)
      post('init/error', body, error_headers(error_type), '')
    end

    private

    def error_headers(error_type)
      "Content-Type: application/json\r\nLambda-Runtime-Function-Error-Type: #{printable(error_type)}\r\n"
    end

    # A class may be called anything; a header may not contain anything.
    def printable(text)
      text.gsub(/[^ -~]/) { |char| format('\\u%04x', char.ord) }
    end

    def post(path, body, headers, following)
      head = "POST #{API}#{path} HTTP/1.1\r\n#{@common}#{headers}Content-Length: #{body.bytesize}\r\n\r\n"
      status, _, answer = exchange(head.b << body.b << following)
      @asked_for_next = !following.empty? && !@socket.nil?
      raise ApiError.new("#{path} failed with #{status}: #{answer}", status) if status != 202
    end

    def take_next
      return unless @asked_for_next

      @asked_for_next = false
      read_answer
    rescue Lost, SystemCallError
      close
      nil
    end

    def exchange(request)
      if @socket
        begin
          return exchange_once(request)
        rescue Lost, SystemCallError
          close
        end
      end
      connect
      begin
        exchange_once(request)
      rescue Lost
        raise ApiError, 'the Runtime API closed the connection'
      end
    end

    def exchange_once(request)
      @socket.write(request)
      read_answer
    end

    def connect
      @socket = TCPSocket.new(@host, @port.to_i)
      @socket.setsockopt(Socket::IPPROTO_TCP, Socket::TCP_NODELAY, 1)
      @socket.sync = true
      @buffer.clear
    end

    def close
      @socket&.close
      @socket = nil
      @buffer.clear
    end

    def receive
      @buffer << @socket.readpartial(RECEIVE_BYTES)
    rescue EOFError
      raise Lost if @buffer.empty?

      raise ApiError, 'the Runtime API closed the connection inside an answer'
    end

    # Takes everything up to `mark` out of the buffer, and the mark.
    def take_until(mark)
      receive until (at = @buffer.index(mark))
      taken = @buffer.slice!(0, at)
      @buffer.slice!(0, mark.bytesize)
      taken
    end

    def take_bytes(count)
      receive while @buffer.bytesize < count
      @buffer.slice!(0, count)
    end

    def read_answer
      lines = take_until("\r\n\r\n").split("\r\n")
      headers = {}
      lines.drop(1).each do |line|
        name, _, value = line.partition(':')
        headers[name.downcase] = value.strip.force_encoding(Encoding::UTF_8)
      end
      chunked = headers['transfer-encoding']&.downcase&.include?('chunked')
      body = chunked ? take_chunks : take_bytes(headers['content-length'].to_i)
      close if headers['connection']&.downcase == 'close'
      [lines[0][9, 3].to_i, headers, body]
    end

    def take_chunks
      body = String.new(encoding: Encoding::BINARY)
      until (size = take_until("\r\n").to_i(16)).zero?
        body << take_bytes(size)
        take_bytes(2)
      end
      nil until take_until("\r\n").empty? # trailers
      body
    end
  end
end
