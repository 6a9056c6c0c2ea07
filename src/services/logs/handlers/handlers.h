/// The operations, one function each: check what the model cannot, ask the store, answer.
#pragma once

#include "aws/dispatcher.h"
#include "aws/gen/logs.h"
#include "services/logs/function_lines.h"
#include "services/logs/live_tail.h"
#include "services/logs/store.h"

namespace lambdad::logs {

/// What a handler works with. All of it outlives the handler's coroutine.
struct Call {
  System* system;
  Logger* log;
  Store* store;
  FunctionLines* lines;
  LiveTail* tail;
  aws::RequestContext* context;
};

using aws::Outcome;
using aws::Unit;

Async<Outcome<Unit>> create_log_group(Call call, aws::logs::CreateLogGroupRequest input);
Async<Outcome<Unit>> delete_log_group(Call call, aws::logs::DeleteLogGroupRequest input);
Async<Outcome<aws::logs::DescribeLogGroupsResponse>> describe_log_groups(Call call,
                                                                         aws::logs::DescribeLogGroupsRequest input);
Async<Outcome<Unit>> put_retention_policy(Call call, aws::logs::PutRetentionPolicyRequest input);
Async<Outcome<Unit>> delete_retention_policy(Call call, aws::logs::DeleteRetentionPolicyRequest input);

Async<Outcome<Unit>> create_log_stream(Call call, aws::logs::CreateLogStreamRequest input);
Async<Outcome<Unit>> delete_log_stream(Call call, aws::logs::DeleteLogStreamRequest input);
Async<Outcome<aws::logs::DescribeLogStreamsResponse>> describe_log_streams(Call call,
                                                                           aws::logs::DescribeLogStreamsRequest input);

Async<Outcome<aws::logs::PutLogEventsResponse>> put_log_events(Call call, aws::logs::PutLogEventsRequest input);
Async<Outcome<aws::logs::GetLogEventsResponse>> get_log_events(Call call, aws::logs::GetLogEventsRequest input);
Async<Outcome<aws::logs::FilterLogEventsResponse>> filter_log_events(Call call,
                                                                     aws::logs::FilterLogEventsRequest input);

Async<Outcome<aws::logs::StartLiveTailResponse>> start_live_tail(Call call, aws::logs::StartLiveTailRequest input);
Async<Outcome<Unit>> tag_resource(Call call, aws::logs::TagResourceRequest input);
Async<Outcome<Unit>> untag_resource(Call call, aws::logs::UntagResourceRequest input);
Async<Outcome<aws::logs::ListTagsForResourceResponse>> list_tags_for_resource(
    Call call, aws::logs::ListTagsForResourceRequest input);
Async<Outcome<Unit>> tag_log_group(Call call, aws::logs::TagLogGroupRequest input);
Async<Outcome<Unit>> untag_log_group(Call call, aws::logs::UntagLogGroupRequest input);
Async<Outcome<aws::logs::ListTagsLogGroupResponse>> list_tags_log_group(Call call,
                                                                        aws::logs::ListTagsLogGroupRequest input);

}  // namespace lambdad::logs
