# frozen_string_literal: true

# The interpreter is started without RubyGems, which takes five times as long to load as everything else. It is loaded before
# the function when there are gems for it, and otherwise when a `require` fails without it or code asks for it by name.
# Libraries that AWS's runtime happens to have loaded before the function come in when they are first used.
module LambdadRuntime
  module Loading
    CONSTANTS = { Gem: 'rubygems', Logger: 'logger', StringIO: 'stringio', URI: 'uri', Date: 'date', DateTime: 'date' }.freeze
    TIME_CLASS_METHODS = %i[parse strptime iso8601 xmlschema httpdate rfc2822].freeze
    TIME_METHODS = %i[iso8601 xmlschema httpdate rfc2822].freeze

    class << self
      def set_up
        patch_kernel
        CONSTANTS.each { |name, library| Object.autoload(name, library) unless Object.const_defined?(name) }
        Object.const_set(:Net, Module.new { autoload :HTTP, 'net/http' }) unless Object.const_defined?(:Net)
        TIME_CLASS_METHODS.each { |name| replace_when_used(Time.singleton_class, name) }
        TIME_METHODS.each { |name| replace_when_used(Time, name) }
        load_gems if gems_of_function?
      end

      def load_gems
        @gems_loaded = true
        require 'rubygems'
      end

      def gems_loaded?
        @gems_loaded
      end

      # Called with the name of every library that was loaded, until the logger is among them.
      def after_require(name)
        return if File.basename(name.to_s, '.rb') != 'logger' || Object.autoload?(:Logger) || !defined?(::Logger::Formatter)
        return if @logger_patched

        @logger_patched = true
        Logs.patch_logger
      end

      attr_reader :logger_patched

      private

      def gems_of_function?
        return true if ENV['BUNDLE_GEMFILE'] || ENV['RUBYOPT']

        (ENV['GEM_PATH'] || '').split(':').any? { |directory| File.directory?("#{directory}/specifications") }
      end

      def replace_when_used(owner, name)
        return if owner.method_defined?(name) # Ruby 3.4 has some of them built in

        owner.define_method(name) do |*arguments, **options, &block|
          require 'time'
          __send__(name, *arguments, **options, &block)
        end
      end

      def patch_kernel
        Kernel.module_eval do
          plain = instance_method(:require)
          define_method(:require) do |name|
            loaded = plain.bind_call(self, name)
            Loading.after_require(name) if loaded && !Loading.logger_patched
            loaded
          rescue LoadError => e
            raise if Loading.gems_loaded? || e.path != name.to_s

            Loading.load_gems
            require(name)
          end
          private :require

          define_method(:URI) do |text|
            require 'uri'
            URI(text) # the library's own by now
          end
          private :URI

          define_method(:gem) do |*arguments|
            Loading.load_gems
            gem(*arguments) # RubyGems' own by now
          end
          private :gem
        end
      end
    end
  end
end
