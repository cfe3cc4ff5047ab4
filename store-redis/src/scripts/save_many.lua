-- ARGV: the four arguments of a save, for each key.
-- An error of one key is returned as text among the answers. An error of the server ends the script.
local answers = {}
for n, key in ipairs(KEYS) do
  local at = 4 * n - 3
  local done, answer = pcall(save, key, ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
  if not done then
    if type(answer) == 'table' then answer = answer.err end
    if sub(answer, 1, 9) ~= 'WRONGTYPE' then return { err = answer } end
  end
  answers[n] = answer
end
return answers
