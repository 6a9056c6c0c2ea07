# frozen_string_literal: true

# Entry point of the managed Ruby runtimes (ruby3.2 to ruby3.4); see runtimes/README.md for how it is launched.
#
# lambdad_runtime/client.rb    Runtime API over one raw socket
# lambdad_runtime/logs.rb      puts, Logger, log sinks
# lambdad_runtime/errors.rb    error reports
# lambdad_runtime/context.rb   the `context` argument
# lambdad_runtime/loading.rb   libraries that AWS's runtime has loaded, RubyGems: here when first used
# lambdad_runtime/spare.rb     waiting to be told which function this process is
# lambdad_runtime/runtime.rb   handler lookup, the invocation loop
require_relative 'lambdad_runtime/runtime'

if (control = ENV['_LAMBDAD_SPARE'])
  require_relative 'lambdad_runtime/spare'
  LambdadRuntime::Spare.become_function(Integer(control))
end
LambdadRuntime.run
