-- ARGV: the four of a save, for each key.
-- What is wrong with one key stands among the answers as text; what is wrong with the server ends all.
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
