local answer = {}
function answer.on_response(handle) end
return answer
