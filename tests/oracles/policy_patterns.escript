#!/usr/bin/env escript
%% -*- coding: utf-8 -*-
%% What Erlang says of policy patterns, for tests/vectors/policy-patterns.tsv:
%%
%%     escript tests/oracles/policy_patterns.escript >tests/vectors/policy-patterns.tsv
%%
%% The first line has the names, each other one a pattern and, name by name, whether it is found (as RabbitMQ asks:
%% re:run over bytes, not anchored), or the word error.
main(_) ->
    io:setopts([{encoding, unicode}]),
    Names = names(),
    io:format("\t~ts~n", [lists:join("\t", [unicode:characters_to_list(Name) || Name <- Names])]),
    [io:format("~ts\t~s~n", [Pattern, found(Pattern, Names)]) || Pattern <- patterns()].

found(Pattern, Names) ->
    case re:compile(Pattern) of
        {error, _} -> "error";
        {ok, Compiled} -> [case re:run(Name, Compiled) of nomatch -> $0; _ -> $1 end || Name <- Names]
    end.

names() ->
    [<<>>, <<"x">>, <<"polx">>, <<"shop.orders">>, <<"shop">>, <<"é"/utf8>>, <<"café"/utf8>>, <<"a">>, <<"aa">>,
    <<"ab">>, <<"aab">>, <<"A">>, <<"amq.topic">>, <<"a b">>, <<"a-b">>, <<"a.b">>, <<"x{3">>, <<"&">>, <<"7">>,
    <<"_">>, <<"a&&b">>, <<"]">>, <<"~">>, <<"pL">>, <<"c">>, <<"b">>, <<")x">>].

patterns() ->
    [<<"^x$">>, <<"^pol">>, <<"">>, <<".*">>, <<"^..$">>, <<"^.$">>, <<"a|b">>, <<"^(a|b)+$">>, <<"[[:alpha:]]">>,
    <<"[^a-z.]">>, <<"\\d">>, <<"\\w+\\.\\w+">>, <<"^\\S+$">>, <<"\\bshop\\b">>, <<"\\Ashop\\z">>, <<"shop\\Z">>,
    <<"(?i)SHOP">>, <<"(?:a)(?<n>b)">>, <<"a{2}">>, <<"a{2,}">>, <<"a{,2}b">>, <<"^a*?$">>, <<"\\.">>, <<"\\x41">>,
    <<"\\x{41}">>, <<"[a-">>, <<"a)">>, <<"*a">>, <<"x{3">>, <<"\\Qa.b\\E">>, <<"(?x) a b">>, <<"(?s).">>,
    <<"^amq\\.">>, <<"[]a]">>, <<"[a&&b]">>, <<"[\\w.-]+">>, <<"^(?!amq\\.).*">>, <<"é"/utf8>>, <<"[é]"/utf8>>,
    <<"^\\w+$">>, <<"\\h">>, <<"\\R">>, <<"a++">>, <<"\\101">>, <<"\\e">>, <<"[\\d]">>, <<"(?U)a+">>, <<"\\pL">>,
    <<"[a~~b]">>, <<"[a--b]">>, <<"\\_">>, <<"\\-">>, <<"\\<a">>, <<"\\y">>, <<"^(?!amq\\.)(?!x)[a-z]">>,
    <<"^(?!amq\\.)(a|b)">>, <<"^(?=shop).*s$">>, <<"(?!a)b">>, <<"^(?!a)b|c">>, <<"(?<=a)b">>, <<"(a)\\1">>,
    <<"^(?!(a|c))">>, <<"^(?!\\)).*">>].
